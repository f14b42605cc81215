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
    let Refusal { client, method, reason, peer } = refusal;
    let (client, code) = (client.remote(), reason.code());
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
