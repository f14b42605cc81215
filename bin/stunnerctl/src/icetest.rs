//! `stunnerctl icetest`: does media get through a gateway, and how well?

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use tokio::time::timeout;
use whip::{
    Candidates, Dialer, IceServer, Policy,
    connection::Delivery,
    dial::{self, DialError},
    measure::{Plan, measure},
};

use crate::cli::{Global, IcetestArguments, Transport};

/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Whose candidates are on the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Symmetry {
    /// Ours.
    Asymmetric,
    /// Those of both sides.
    Symmetric,
}

/// A check that failed.
struct Failed {
    error: String,
    advice: &'static str,
}

/// Runs the tests: exit code 0 if all passed, 1 if one failed, 130 after Ctrl-C.
pub(crate) fn main(global: &Global, arguments: &IcetestArguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&format!("Error: {error}"), 1),
    };
    let patience = Duration::from_secs(arguments.timeout.into());
    runtime.block_on(async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => report("ICE tester stopped due to user interrupt", INTERRUPTED),
            tested = timeout(patience, test_all(global, arguments)) => match tested {
                Ok(Ok(())) => ExitCode::SUCCESS,
                Ok(Err(failed)) => failed.report(),
                Err(_) => report(&format!("ICE tester timed out after {patience:?}"), 1),
            },
        }
    })
}

async fn test_all(global: &Global, arguments: &IcetestArguments) -> Result<(), Failed> {
    let transports = match &arguments.transports[..] {
        [] => &[Transport::Udp, Transport::Tcp],
        some => some,
    };
    phase("Obtaining ICE server configuration");
    let config = dial::ice_config(&ice_address(global, arguments)).await.map_err(|error| Failed {
        error: error.to_string(),
        advice: "is the authentication service there (--auth-server-address), and does it know the gateway?",
    })?;
    completed();
    for symmetry in [Symmetry::Asymmetric, Symmetry::Symmetric] {
        for transport in transports {
            phase(&format!("Running {} ICE test over {}", symmetry.name(), transport.name()));
            let servers: Vec<IceServer> =
                config.servers.iter().filter_map(|server| server.over(transport.parameter())).collect();
            if servers.is_empty() {
                return Err(Failed {
                    error: format!("the gateway has no listener for {}", transport.name()),
                    advice: "add a listener of that protocol to the Gateway, or name other transports",
                });
            }
            test(arguments, symmetry, servers).await?;
        }
    }
    Ok(())
}

/// One test, with its numbers.
async fn test(
    arguments: &IcetestArguments,
    symmetry: Symmetry,
    servers: Vec<IceServer>,
) -> Result<(), Failed> {
    let tester = format!("http://{}", arguments.icetester_address);
    let (theirs, policy) = match symmetry {
        Symmetry::Asymmetric => (&[][..], Policy::All),
        Symmetry::Symmetric => (&servers[..], Policy::Relay),
    };
    let unreachable = |error: DialError| Failed {
        error: error.to_string(),
        advice: "is the icetester there (--icetester-address)?",
    };
    dial::configure(&tester, theirs, policy).await.map_err(unreachable)?;
    let dialer = Dialer {
        ice_servers: servers.clone(),
        policy: Policy::Relay,
        delivery: Delivery::Once,
        patience: Duration::from_secs(90),
        ..Dialer::new(format!("{tester}/whip"))
    };
    let mut dialled =
        dialer.dial().await.map_err(|error| Failed { advice: advice(&error), error: error.to_string() })?;
    let plan = Plan {
        duration: Duration::from_secs(arguments.duration.into()),
        rate: arguments.packet_rate,
        ..Plan::default()
    };
    let summary = measure(&mut dialled.connection, plan).await.map_err(|ended| Failed {
        error: format!("the connection ended before its time: {ended}"),
        advice: "does the gateway's log say why it closed the allocation, or dropped the peer?",
    })?;
    let candidates = dialled.connection.candidates();
    dialled.close().await;
    completed();
    print(&format!("\tStatistics: {summary}\n"));
    print_candidates(&candidates);
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

fn ice_address(global: &Global, arguments: &IcetestArguments) -> String {
    let mut address = format!("http://{}/ice?service=turn", arguments.auth_server_address);
    if let Some(gateway) = &arguments.gateway {
        address += &format!(
            "&namespace={}&gateway={gateway}",
            global.kubernetes.namespace.as_deref().unwrap_or("default")
        );
    }
    address
}

fn print_candidates(candidates: &Candidates) {
    let (ours, theirs) = candidates.selected.unwrap_or_default();
    for (title, list, selected) in
        [("Local", &candidates.local, ours), ("Remote", &candidates.remote, theirs)]
    {
        print(&format!("\t{title}ICECandidates:\n"));
        for (place, candidate) in list.iter().enumerate() {
            let mark = if selected == Some(place) { "* " } else { "  " };
            print(&format!("\t  {mark}{candidate}\n"));
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

impl Transport {
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "TURN-UDP",
            Self::Tcp => "TURN-TCP",
        }
    }

    /// As URIs of ICE servers have it.
    const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl Failed {
    fn report(&self) -> ExitCode {
        print("error\n");
        let now = Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let text = format!("Error: {:?}\nTimeStamp: {now}\nDiagnostics: {}", self.error, self.advice);
        report(&text, 1)
    }
}

fn phase(name: &str) {
    let now = Timestamp::now().to_zoned(TimeZone::UTC).strftime("%d %b %y %H:%M UTC").to_string();
    print(&format!("{now}: {name}... "));
}

fn completed() {
    print("completed\n");
}

/// Progress is shown as it is made; a reader that went away does not stop the test.
fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn report(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(code)
}
