//! What a test prints: its phases as they come, its numbers, and why it failed.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{Timestamp, tz::TimeZone};
use whip::Candidates;

use crate::cli::Transport;

/// What is logged for the case that a test fails.
pub(super) const DETAILS: &str =
    "all:INFO,stunnerctl:TRACE,whip:TRACE,client:TRACE,turn:TRACE,k8s-discover:TRACE";

/// How many lines of that are kept.
const LINES: usize = 1000;

/// The latest log lines. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Kept {
    fn lines(&self) -> VecDeque<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes one line at a time.
impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A check that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: String,
    pub(super) advice: &'static str,
}

impl Failed {
    /// Makes errors of any kind to this one, with some advice.
    pub(super) fn advising<E: Into<anyhow::Error>>(advice: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { error: format!("{:#}", error.into()), advice }
    }

    /// Says why, and what was logged up to here.
    pub(super) fn report(&self, kept: &Kept) {
        print("error\n");
        complain(&self.text(&Timestamp::now()));
        let lines = kept.lines();
        if !lines.is_empty() {
            complain("Detailed logs:");
            let mut errors = io::stderr().lock();
            // Nobody is left to be told that nobody reads this.
            let _ = lines.iter().try_for_each(|line| errors.write_all(line));
        }
    }

    fn text(&self, now: &Timestamp) -> String {
        let now = now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
        format!("Error: {:?}\nTimeStamp: {now}\nDiagnostics: {}", self.error, self.advice)
    }
}

/// Begins a line, which [`completed`] ends.
pub(super) fn phase(name: &str, transport: Option<Transport>) {
    print(&phase_text(name, transport, &Timestamp::now()));
}

fn phase_text(name: &str, transport: Option<Transport>, now: &Timestamp) -> String {
    let now = now.to_zoned(TimeZone::UTC).strftime("%d %b %y %H:%M UTC").to_string();
    let over = transport.map(|transport| format!(" over {}", transport.name())).unwrap_or_default();
    format!("{now}: {name}{over}... ")
}

pub(super) fn completed() {
    print("completed\n");
}

/// Whose candidates were tried, with a mark at those that were used.
pub(super) fn candidates(candidates: &Candidates) -> String {
    let (ours, theirs) = candidates.selected.unwrap_or_default();
    let mut text = String::new();
    for (title, list, selected) in
        [("Local", &candidates.local, ours), ("Remote", &candidates.remote, theirs)]
    {
        text += &format!("\t{title}ICECandidates:\n");
        for (place, candidate) in list.iter().enumerate() {
            let mark = if selected == Some(place) { "* " } else { "  " };
            text += &format!("\t  {mark}{candidate}\n");
        }
    }
    text
}

/// Progress is shown as it is made; a reader that went away does not stop the test.
pub(super) fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_and_failures_have_the_documented_form() {
        let now: Timestamp = "2026-01-02T15:04:05Z".parse().unwrap();
        let text = phase_text("Checking Gateway", Some(Transport::Udp), &now);
        assert_eq!(text, "02 Jan 26 15:04 UTC: Checking Gateway over TURN-UDP... ");
        assert_eq!(phase_text("Initializing", None, &now), "02 Jan 26 15:04 UTC: Initializing... ");
        let failed = Failed { error: "no \"answer\"".to_owned(), advice: "is it there?" };
        let expected =
            "Error: \"no \\\"answer\\\"\"\nTimeStamp: 2026-01-02 15:04:05\nDiagnostics: is it there?";
        assert_eq!(failed.text(&now), expected);
    }

    #[test]
    fn the_pair_that_was_used_is_marked() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let tried = Candidates {
            local: list(&["udp4 relay 10.1.0.5:40001"]),
            remote: list(&["udp4 host 10.1.0.9:40003", "udp4 host 127.0.0.1:5"]),
            selected: Some((Some(0), Some(1))),
        };
        let expected = "\tLocalICECandidates:\n\t  * udp4 relay 10.1.0.5:40001\n\tRemoteICECandidates:\n\
                        \t    udp4 host 10.1.0.9:40003\n\t  * udp4 host 127.0.0.1:5\n";
        assert_eq!(candidates(&tried), expected);
    }

    #[test]
    fn only_the_latest_lines_are_kept() {
        let mut kept = Kept::default();
        for number in 0..LINES + 5 {
            kept.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        let lines = kept.lines();
        assert_eq!((lines.len(), lines[0].as_slice()), (LINES, &b"5\n"[..]));
    }
}
