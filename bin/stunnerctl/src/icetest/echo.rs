//! One test: messages to an icetester and back, with its numbers.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use whip::{
    DialError, Dialer, IceServer, Policy, Way,
    connection::Delivery,
    dial::{self, Dialled},
    measure::{Plan, measure},
};

use super::report::{Failed, candidates, completed, phase, print};
use crate::cli::{IcetestArguments, Transport};

/// How long a tester may take to hear which servers it is to use, and both sides to find each other.
const CONFIGURING: Duration = Duration::from_secs(10);
const DIALLING: Duration = Duration::from_secs(90);

/// How long one of several attempts may take, and the pause between them.
const ATTEMPT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// Whose candidates are on the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Symmetry {
    /// Ours.
    Asymmetric,
    /// Those of both sides.
    Symmetric,
}

/// The other side.
pub(super) struct Tester {
    address: String,
    way: Option<Way>,
    /// It was started a moment ago, and so was the gateway: what fails may work a moment later.
    is_new: bool,
}

impl Tester {
    /// One that somebody has started.
    pub(super) fn at(address: &str) -> Self {
        Self { address: format!("http://{address}"), way: None, is_new: false }
    }

    /// One that this test has started.
    pub(super) fn new(name: &str, way: Way) -> Self {
        Self { address: format!("http://{name}"), way: Some(way), is_new: true }
    }

    fn limit(&self, limit: Duration) -> Duration {
        if self.is_new { limit } else { Duration::ZERO }
    }

    async fn dial(&self, servers: &[IceServer]) -> Result<Dialled, Failed> {
        let dialer = Dialer {
            ice_servers: servers.to_vec(),
            policy: Policy::Relay,
            delivery: Delivery::Once,
            patience: if self.is_new { ATTEMPT } else { DIALLING },
            way: self.way.clone(),
            ..Dialer::new(format!("{}/whip", self.address))
        };
        until(self.limit(DIALLING), PAUSE, async || {
            dialer.dial().await.map_err(|error| Failed { advice: advice(&error), error: error.to_string() })
        })
        .await
    }

    async fn configure(&self, servers: &[IceServer]) -> Result<(), Failed> {
        let policy = if servers.is_empty() { Policy::All } else { Policy::Relay };
        until(self.limit(CONFIGURING), PAUSE, async || {
            let configured = dial::configure(&self.address, self.way.as_ref(), servers, policy).await;
            configured.map_err(Failed::advising("is the icetester there (--icetester-address)?"))
        })
        .await
    }
}

/// Tries again after a pause until it works or the time is over; at least once.
pub(super) async fn until<T>(
    limit: Duration,
    pause: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, Failed>,
) -> Result<T, Failed> {
    let end = Instant::now() + limit;
    loop {
        match attempt().await {
            Err(failed) if Instant::now() + pause < end => {
                tracing::debug!(target: "stunnerctl", "{}; trying again", failed.error);
                sleep(pause).await;
            }
            done => return done,
        }
    }
}

/// This side is on `servers` alone, and the other on `theirs`, if there are any.
pub(super) async fn test(
    arguments: &IcetestArguments,
    (symmetry, transport): (Symmetry, Transport),
    tester: &Tester,
    servers: Vec<IceServer>,
    theirs: &[IceServer],
) -> Result<(), Failed> {
    phase(&format!("Running {} ICE test", symmetry.name()), Some(transport));
    tester.configure(theirs).await?;
    let mut dialled = tester.dial(&servers).await?;
    let plan = Plan { duration: arguments.duration, rate: arguments.packet_rate, ..Plan::default() };
    let summary = measure(&mut dialled.connection, plan).await.map_err(|ended| Failed {
        error: format!("the connection ended before its time: {ended}"),
        advice: "does the gateway's log say why it closed the allocation, or dropped the peer?",
    })?;
    let tried = dialled.connection.candidates();
    dialled.close().await;
    completed();
    print(&format!("\tStatistics: {summary}\n{}", candidates(&tried)));
    if summary.received == 0 {
        return Err(Failed {
            error: "no message came back".to_owned(),
            advice: "is something on the way dropping packets of a certain size or port?",
        });
    }
    Ok(())
}

fn advice(error: &DialError) -> &'static str {
    match error {
        DialError::Prepare(_) => {
            "this side got no allocation: can the gateway's public address be reached from here, and are the \
             credentials of the authentication service its own?"
        }
        DialError::Ended(_) | DialError::TimedOut { .. } => {
            "both sides have candidates and no packet gets through: do the gateway's routes admit the icetester's \
             address, and for the symmetric test the gateway's own relay address?"
        }
        DialError::Endpoint(_) | DialError::Http { .. } | DialError::Refused { .. } => {
            "does the icetester answer, and can it reach the gateway?"
        }
    }
}

impl Symmetry {
    const fn name(self) -> &'static str {
        match self {
            Self::Asymmetric => "asymmetric",
            Self::Symmetric => "symmetric",
        }
    }
}
