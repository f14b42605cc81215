//! The one place where a client's address is logged above DEBUG: refusals an operator needs to read about.
//!
//! Their rate is limited here, below the limit all lines share, so that nobody outside can silence the rest of
//! the log.

use std::sync::atomic::{AtomicU64, Ordering};

use turn::server::{Refusal, RejectReason};

use crate::view::View;

/// Most refusals logged per second, by the process.
const PER_SECOND: u64 = 10;

/// Which second it is, how many lines it had, and how many went unsaid since the last line.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    second: AtomicU64,
    lines: AtomicU64,
    unsaid: AtomicU64,
}

impl RefusalLog {
    /// Writes a line, unless there have been enough of them. `unix` is the time in seconds.
    pub(crate) fn write(&self, refusal: &Refusal, view: &View, unix: u64) {
        let listener = || view.get(refusal.client.listener()).map_or("?", |listener| &listener.name);
        if !is_for_the_operator(refusal.reason) {
            tracing::debug!(target: "turn", "{}", line(refusal, listener(), 0));
        } else if let Some(unsaid) = self.admit(unix) {
            tracing::warn!(target: "turn", "{}", line(refusal, listener(), unsaid));
        }
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
    fn refusals_beyond_the_rate_are_counted_and_reported_later() {
        let log = RefusalLog::default();
        let admitted = (0..25).filter(|_| log.admit(1000).is_some()).count();
        assert_eq!(admitted, 10);
        assert_eq!(log.admit(1001), Some(15));
        assert_eq!(log.admit(1001), Some(0));
    }
}
