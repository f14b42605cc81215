//! What is measured: the list of cases and their names.

use crate::load::{Mode, Pace, Shape};
use crate::wires::Transport;

/// One row group of the table: the same work for every server.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name, such as `echo-udp-single-172-w1`.
    pub name: String,
    /// How clients are connected.
    pub transport: Transport,
    /// Threads that relay packets in the servers.
    pub workers: usize,
    /// What is done.
    pub work: Work,
    /// It is one of the few that the quick table has.
    pub quick: bool,
}

/// What a server is put to.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Packets of so many clients.
    Relay {
        /// What the packets are like.
        shape: Shape,
        /// How many clients send.
        clients: usize,
    },
    /// Packets of so many clients for each worker, where each worker shares a processor with its part of the load.
    Scale {
        /// What the packets are like.
        shape: Shape,
        /// How many clients send at each processor.
        clients: usize,
    },
    /// One packet in flight.
    Latency(Shape),
    /// Clients that come and go, so many at a time.
    Churn {
        /// How many.
        at_once: usize,
    },
    /// Allocations that do nothing, and packets of a few clients beside them.
    Idle {
        /// How many do nothing.
        allocations: usize,
        /// What the packets are like.
        shape: Shape,
        /// How many clients send.
        clients: usize,
    },
    /// Twice the packets that the server can relay, and requests among them.
    Overload {
        /// What the packets are like.
        shape: Shape,
        /// How many clients send.
        clients: usize,
    },
}

/// Clients that send packets at a time, as in most figures that are published.
const CLIENTS: usize = 50;
/// The payload of 20 ms of speech with its RTP header, and that of a piece of a video frame.
const SPEECH: usize = 172;
const VIDEO: usize = 1200;
/// Pieces of a video frame that are sent together.
const FRAME: u32 = 10;
/// Bursts of one client on their way. With one, no two single packets of a client ever wait together.
const WINDOW: u32 = 1;
/// Clients that ask at the same time.
const AT_ONCE: usize = 32;
/// Allocations that do nothing. Each holds a socket, so the limit of open files may mean fewer.
const IDLE: usize = 20_000;

/// Every case, in the order of the table.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for workers in [1, 2] {
        for transport in [Transport::Udp, Transport::Tcp] {
            for mode in [Mode::Echo, Mode::Up, Mode::Down, Mode::Headless] {
                for (kind, size, burst) in [
                    ("single", SPEECH, 1),
                    ("single", VIDEO, 1),
                    ("burst", SPEECH, FRAME),
                    ("burst", VIDEO, FRAME),
                ] {
                    let quick = is_quick(workers, transport, mode, size, burst);
                    let name = format!("{}-{}-{kind}-{size}-w{workers}", mode.name(), transport.name());
                    let work = Work::Relay { shape: shape(mode, size, burst), clients: CLIENTS };
                    cases.push(Case { name, transport, workers, work, quick });
                }
            }
        }
    }
    for (kind, size, burst) in [("single", SPEECH, 1), ("burst", VIDEO, FRAME)] {
        for workers in [1, 2] {
            let name = format!("scale-{kind}-{size}-w{workers}");
            let work = Work::Scale { shape: shape(Mode::Echo, size, burst), clients: CLIENTS };
            cases.push(Case { name, transport: Transport::Udp, workers, work, quick: false });
        }
    }
    // One suite on both: ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
    for transport in [Transport::Tls, Transport::Dtls] {
        for mode in [Mode::Echo, Mode::Up, Mode::Down] {
            for (kind, size, burst) in [("single", SPEECH, 1), ("single", VIDEO, 1), ("burst", VIDEO, FRAME)]
            {
                let quick = mode == Mode::Echo && kind == "single" && size == VIDEO;
                let name = format!("{}-{}-{kind}-{size}-w1", mode.name(), transport.name());
                let work = Work::Relay { shape: shape(mode, size, burst), clients: CLIENTS };
                cases.push(Case { name, transport, workers: 1, work, quick });
            }
        }
    }
    for transport in [Transport::Udp, Transport::Tcp] {
        for mode in [Mode::Echo, Mode::Headless] {
            let name = format!("latency-{}-{}", mode.name(), transport.name());
            let work = Work::Latency(Shape { spin: true, ..shape(mode, SPEECH, 1) });
            cases.push(Case { name, transport, workers: 1, work, quick: transport == Transport::Udp });
        }
    }
    let rest = [
        ("churn-udp", Work::Churn { at_once: AT_ONCE }),
        ("idle-udp", Work::Idle { allocations: IDLE, shape: shape(Mode::Echo, SPEECH, 1), clients: CLIENTS }),
        // One by one, which the load can send faster than any server can relay them.
        ("overload-udp", Work::Overload { shape: shape(Mode::Up, SPEECH, 1), clients: CLIENTS }),
    ];
    for (name, work) in rest {
        let quick = !matches!(work, Work::Overload { .. });
        cases.push(Case { name: name.to_owned(), transport: Transport::Udp, workers: 1, work, quick });
    }
    cases
}

/// The cases whose names contain one of these words, or all of them.
pub fn select(words: &[String], quick: bool) -> Vec<Case> {
    let wanted = |case: &Case| match words {
        [] => case.quick || !quick,
        words => words.iter().any(|word| case.name.contains(word.as_str())),
    };
    all().into_iter().filter(wanted).collect()
}

/// One worker; on UDP both ways and from client to client, speech one by one and video in bursts; on TCP video.
fn is_quick(workers: usize, transport: Transport, mode: Mode, size: usize, burst: u32) -> bool {
    let kind = match transport {
        Transport::Udp => (size == SPEECH && burst == 1) || (size == VIDEO && burst == FRAME),
        Transport::Tcp | Transport::Tls | Transport::Dtls => size == VIDEO && burst == 1,
    };
    let mode = match transport {
        Transport::Udp => matches!(mode, Mode::Echo | Mode::Headless),
        Transport::Tcp | Transport::Tls | Transport::Dtls => matches!(mode, Mode::Echo),
    };
    workers == 1 && kind && mode
}

fn shape(mode: Mode, size: usize, burst: u32) -> Shape {
    Shape { mode, size, burst, pace: Pace::Window(WINDOW), channels: false, spin: false }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_select_their_case() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|case| case.name.clone()).collect();
        assert_eq!(names.len(), all.len());
        for case in all.iter().filter(|case| case.name.ends_with("-w1")) {
            assert_eq!(select(std::slice::from_ref(&case.name), true), std::slice::from_ref(case));
        }
    }

    #[test]
    fn the_quick_table_is_a_part_of_the_whole() {
        let quick = select(&[], true);
        assert!((5..15).contains(&quick.len()), "{}", quick.len());
        assert_eq!(select(&[], false), all());
    }
}
