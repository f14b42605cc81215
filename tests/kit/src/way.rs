//! The way a gateway under test works, where what its clients see does not depend on it.
//!
//! `scripts/test` runs the tests that start gateways once more for each of several ways; by default there is one.

use std::num::NonZeroUsize;
use std::process::Command;

/// Which way a gateway is to be started. Tests that are about one way choose that themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// How many workers; what the test prefers if there is no number.
    pub workers: Option<NonZeroUsize>,
    /// Whether packets from client to client leave out the relay sockets.
    pub takes_short_cut: bool,
}

impl Way {
    /// What `STUNNER_TEST_WORKERS` (a number) and `STUNNER_TEST_SHORT_CUT` (`on`, `off`) say.
    ///
    /// # Panics
    /// If they say something else.
    pub fn chosen() -> Self {
        let said = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Self::parse(said("STUNNER_TEST_WORKERS").as_deref(), said("STUNNER_TEST_SHORT_CUT").as_deref())
    }

    fn parse(workers: Option<&str>, short_cut: Option<&str>) -> Self {
        let workers = workers.map(|text| text.parse().expect("STUNNER_TEST_WORKERS is a number from 1"));
        let takes_short_cut = match short_cut {
            None | Some("on") => true,
            Some("off") => false,
            Some(other) => panic!("STUNNER_TEST_SHORT_CUT is on or off, not {other:?}"),
        };
        Self { workers, takes_short_cut }
    }

    /// Tells a program, which takes the number of workers by the flag `workers`.
    pub fn tell(self, program: &mut Command, workers: &str) {
        if let Some(count) = self.workers {
            program.arg(format!("{workers}={count}"));
        }
        if !self.takes_short_cut {
            program.arg("--no-short-cut");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_told_to_a_program_as_far_as_it_was_chosen() {
        let told = |workers, short_cut| {
            let mut command = Command::new("program");
            Way::parse(workers, short_cut).tell(&mut command, "--workers");
            command.get_args().map(|arg| arg.to_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        assert!(told(None, None).is_empty());
        assert_eq!(told(Some("4"), Some("on")), ["--workers=4"]);
        assert_eq!(told(Some("1"), Some("off")), ["--workers=1", "--no-short-cut"]);
    }
}
