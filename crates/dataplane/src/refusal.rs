//! The one place where a client's address is logged above DEBUG: refusals an operator needs to read about. The last
//! ones are also kept for whoever asks at the health port, with shortened addresses unless asked otherwise.
//!
//! The rate of lines is limited here, below the limit all lines share, so that nobody outside can silence the rest of
//! the log.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use turn::server::{Refusal, RejectReason};

use crate::metrics;
use crate::view::View;

/// Most refusals logged per second, by the process.
const PER_SECOND: u64 = 10;
/// Refusals that are remembered.
const KEPT: usize = 64;

/// Which second it is, how many lines it had, and how many went unsaid since the last line.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    second: AtomicU64,
    lines: AtomicU64,
    unsaid: AtomicU64,
    recent: Mutex<VecDeque<Recent>>,
}

/// A refusal that is remembered.
#[derive(Debug, Clone)]
struct Recent {
    unix: u64,
    gateway: Arc<str>,
    listener: Arc<str>,
    refusal: Refusal,
}

impl RefusalLog {
    /// Writes a line, unless there have been enough of them. `unix` is the time in seconds.
    pub(crate) fn write(&self, refusal: &Refusal, view: &View, unix: u64) {
        let known = view.get(refusal.client.listener());
        if let Some(listener) = known {
            let (gateway, listener) = (Arc::clone(&listener.gateway), Arc::clone(&listener.name));
            self.remember(Recent { unix, gateway, listener, refusal: *refusal });
        }
        let listener = || known.map_or("?", |listener| &listener.name);
        if !is_for_the_operator(refusal.reason) {
            tracing::debug!(target: "turn", "{}", line(refusal, listener(), 0));
        } else if let Some(unsaid) = self.admit(unix) {
            tracing::warn!(target: "turn", "{}", line(refusal, listener(), unsaid));
        }
    }

    fn remember(&self, recent: Recent) {
        let mut kept = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(recent);
    }

    /// The last refusals of some gateways, the latest first, and only those of clients at `client` if it is given.
    pub(crate) fn recent(
        &self,
        is_shown: &dyn Fn(&str) -> bool,
        client: Option<IpAddr>,
        addresses: Addresses,
    ) -> Vec<RecentRefusal> {
        let kept = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = |recent: &&Recent| client.is_none_or(|ip| recent.refusal.client.remote().ip() == ip);
        let shown = kept.iter().rev().filter(|recent| is_shown(&recent.gateway)).filter(of_client);
        shown.map(|recent| RecentRefusal::of(recent, addresses)).collect()
    }

    /// Whether there may be another line in this second, and how many were left out before it.
    fn admit(&self, unix: u64) -> Option<u64> {
        if self.second.swap(unix, Ordering::Relaxed) != unix {
            self.lines.store(0, Ordering::Relaxed);
        }
        if self.lines.fetch_add(1, Ordering::Relaxed) >= PER_SECOND {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Ordering::Relaxed))
    }
}

/// Whether the configuration, or an attack on it, is the likely reason, rather than a clumsy client.
const fn is_for_the_operator(reason: RejectReason) -> bool {
    matches!(
        reason,
        RejectReason::WrongCredentials
            | RejectReason::WrongUser
            | RejectReason::PeerRefused
            | RejectReason::PeerForbidden
            | RejectReason::QuotaReached
            | RejectReason::NoRelay
            | RejectReason::Capacity
            | RejectReason::UnsupportedFamily
    )
}

fn line(refusal: &Refusal, listener: &str, unsaid: u64) -> String {
    let Refusal { client, method, reason, peer, code } = refusal;
    let client = client.remote();
    let what = match reason {
        RejectReason::WrongCredentials | RejectReason::WrongUser => {
            format!("unauthorized, permission denied: wrong credentials for {method:?}")
        }
        RejectReason::PeerRefused | RejectReason::PeerForbidden => {
            let peer = peer.map_or_else(|| "?".to_owned(), |peer| peer.to_string());
            let why = if *reason == RejectReason::PeerRefused {
                "no route of the listener leads there"
            } else {
                "not an address a peer can have"
            };
            format!("permission denied: peer {peer} refused for {method:?}, {why}")
        }
        _ => format!("{method:?} refused: {reason:?}"),
    };
    let more = if unsaid > 0 { format!(" ({unsaid} more refusals not logged)") } else { String::new() };
    format!("{what}; client {client} on listener {listener:?}, code {code}{more}")
}

/// Which addresses are told as they are; of all others only the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// None: somebody looks around, or a monitoring system stores what it is told.
    Networks,
    /// Those of peers: somebody asks why one is refused.
    Peers,
    /// All: somebody asked for them, or has named the client.
    Full,
}

/// A refusal as a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RecentRefusal {
    /// UNIX time in seconds.
    time: u64,
    listener: String,
    client: String,
    method: String,
    /// The reason, spelled as in the label of its counter.
    reason: String,
    /// What the client was told.
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    explanation: &'static str,
}

impl RecentRefusal {
    fn of(recent: &Recent, addresses: Addresses) -> Self {
        let Refusal { client, method, reason, code, peer } = recent.refusal;
        let told = |address: SocketAddr, in_full| {
            if in_full { address.to_string() } else { shortened(address.ip()) }
        };
        Self {
            time: recent.unix,
            listener: recent.listener.to_string(),
            client: told(client.remote(), addresses == Addresses::Full),
            method: format!("{method:?}"),
            reason: metrics::label(&reason),
            code,
            peer: peer.map(|peer| told(peer, addresses != Addresses::Networks)),
            explanation: reason.explanation(),
        }
    }
}

/// The network of an address: enough to tell offices apart, and not people.
fn shortened(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let network = v6.to_bits() >> 80 << 80;
            format!("{}/48", Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use turn::addr::{Client, ListenerId};

    use super::*;

    fn refusal(reason: RejectReason) -> Refusal {
        Refusal {
            client: Client::new(
                ListenerId(0),
                "192.0.2.1:4000".parse().unwrap(),
                "192.0.2.2:3478".parse().unwrap(),
            ),
            method: stun::Method::CreatePermission,
            reason,
            code: reason.code(),
            peer: Some("10.0.0.1:99".parse().unwrap()),
        }
    }

    #[test]
    fn d02_bad_credentials_are_found_by_either_word_with_the_client_address() {
        let line = line(&refusal(RejectReason::WrongCredentials), "ns/gw/udp", 0);
        for part in ["unauthorized", "permission denied", "192.0.2.1:4000", "ns/gw/udp", "401"] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn d04_a_refused_peer_is_named() {
        let line = line(&refusal(RejectReason::PeerRefused), "ns/gw/udp", 7);
        for part in ["permission denied", "10.0.0.1:99", "192.0.2.1:4000", "403", "7 more"] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn addresses_are_shortened_to_networks() {
        assert_eq!(shortened("198.51.100.77".parse().unwrap()), "198.51.100.0/24");
        assert_eq!(shortened("2001:db8:1:2::3".parse().unwrap()), "2001:db8:1::/48");
    }

    #[test]
    fn addresses_are_told_as_far_as_they_were_asked_for() {
        let refusal = refusal(RejectReason::PeerRefused);
        let recent = Recent { unix: 7, gateway: "ns/gw".into(), listener: "udp".into(), refusal };
        let told = |addresses| {
            let RecentRefusal { client, peer, .. } = RecentRefusal::of(&recent, addresses);
            (client, peer.unwrap())
        };
        let expected = |client: &str, peer: &str| (client.to_owned(), peer.to_owned());
        assert_eq!(told(Addresses::Networks), expected("192.0.2.0/24", "10.0.0.0/24"));
        assert_eq!(told(Addresses::Peers), expected("192.0.2.0/24", "10.0.0.1:99"));
        assert_eq!(told(Addresses::Full), expected("192.0.2.1:4000", "10.0.0.1:99"));
    }

    #[test]
    fn only_the_last_refusals_are_kept() {
        let log = RefusalLog::default();
        let refusal = refusal(RejectReason::QuotaReached);
        for unix in 0..100 {
            let gateway = if unix % 2 == 0 { "even" } else { "odd" }.into();
            log.remember(Recent { unix, gateway, listener: "udp".into(), refusal });
        }
        let all = log.recent(&|_| true, None, Addresses::Networks);
        assert_eq!(all.iter().map(|one| one.time).collect::<Vec<_>>(), (36..100).rev().collect::<Vec<_>>());
        assert!(
            log.recent(&|name| name == "odd", None, Addresses::Networks).iter().all(|one| one.time % 2 == 1)
        );
    }

    #[test]
    fn refusals_beyond_the_rate_are_counted_and_reported_later() {
        let log = RefusalLog::default();
        let admitted = (0..25).filter(|_| log.admit(1000).is_some()).count();
        assert_eq!(admitted, 10);
        assert_eq!(log.admit(1001), Some(15));
        assert_eq!(log.admit(1001), Some(0));
    }
}
