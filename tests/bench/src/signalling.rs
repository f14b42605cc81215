//! Many clients' conversations at once, some of them waiting for answers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, nanos};
use crate::session::{Login, Outcome, Session, Stage};
use crate::wires::{Arrival, Side, Wires};

/// The clients of a server, numbered as on the [`Wires`].
pub struct Signalling {
    login: Arc<Login>,
    sessions: Vec<Session>,
    waiting: Vec<Waiting>,
    tallies: BTreeMap<Stage, Tally>,
}

/// A client that awaits an answer.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    number: usize,
    goal: Stage,
    /// When it began to go for its goal.
    since: u64,
    /// When it says the same again.
    again: u64,
    tries: u32,
}

/// Counts of conversations that ended.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// They reached their goal.
    pub reached: u64,
    /// The server refused.
    pub refused: u64,
    /// The last code of a refusal.
    pub last_code: u16,
    /// The server did not answer.
    pub silent: u64,
    /// Nanoseconds from the first request to the last answer of each that reached its goal.
    pub times: Vec<u32>,
}

impl Tally {
    /// # Errors
    /// Some clients did not reach their goal.
    pub fn all_reached(&self) -> io::Result<()> {
        let Self { refused, silent, last_code, .. } = self;
        if refused + silent == 0 {
            return Ok(());
        }
        let what = format!("{refused} clients were refused (last code {last_code}), {silent} not answered");
        Err(io::Error::other(what))
    }

    /// Percent of the clients that reached their goal.
    pub fn percent_reached(&self) -> f64 {
        let all = self.reached + self.refused + self.silent;
        self.reached as f64 / all as f64 * 100.0
    }
}

/// A UDP client's first retransmission; the pauses double (RFC 8489 section 6.2.1).
const RETRANSMIT: Duration = Duration::from_millis(500);
/// How often a request is sent before the client gives up, 39.5 s after the first time.
const TRIES: u32 = 7;
/// The largest request.
const REQUEST: usize = 1024;

impl Signalling {
    /// No clients yet.
    pub fn new(login: Login) -> Self {
        Self { login: Arc::new(login), sessions: Vec::new(), waiting: Vec::new(), tallies: BTreeMap::new() }
    }

    /// What became of the clients that went for a goal, since this was last asked.
    pub fn take_tally(&mut self, goal: Stage) -> Tally {
        self.tallies.remove(&goal).unwrap_or_default()
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// How many of them await an answer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a client awaits an answer.
    pub fn is_waiting(&self, number: usize) -> bool {
        self.waiting.iter().any(|waiting| waiting.number == number)
    }

    /// The relayed address of a client.
    pub fn relayed(&self, number: usize) -> Option<SocketAddr> {
        self.sessions.get(number)?.relayed()
    }

    /// Adds a client and gives its number.
    pub fn add(&mut self, peer: SocketAddr) -> usize {
        let number = self.sessions.len();
        self.sessions.push(Session::new(Arc::clone(&self.login), number, peer));
        number
    }

    /// Sets the peer of a client's permission and channel to come.
    pub fn set_peer(&mut self, number: usize, peer: SocketAddr) {
        self.sessions[number].set_peer(peer);
    }

    /// Lets a client go for a goal.
    ///
    /// # Errors
    /// Its connection broke.
    pub fn begin(&mut self, wires: &mut Wires, number: usize, goal: Stage, now: u64) -> io::Result<()> {
        let session = &mut self.sessions[number];
        session.aim(goal);
        if !session.has_reached() {
            let again = now + nanos(RETRANSMIT);
            self.waiting.push(Waiting { number, goal, since: now, again, tries: 1 });
            self.ask(wires, number)?;
        }
        Ok(())
    }

    /// Takes a message from the server.
    ///
    /// # Errors
    /// A connection broke.
    pub fn arrived(&mut self, wires: &mut Wires, arrival: Arrival, now: u64) -> io::Result<()> {
        let number = arrival.number;
        let Some(place) = self.waiting.iter().position(|waiting| waiting.number == number) else {
            return Ok(());
        };
        match self.sessions[number].answer(wires.bytes(arrival)) {
            Outcome::Stray => {}
            Outcome::More => {
                self.waiting[place].again = now + nanos(RETRANSMIT);
                self.waiting[place].tries = 1;
                self.ask(wires, number)?;
            }
            Outcome::Reached => {
                let Waiting { goal, since, .. } = self.waiting.swap_remove(place);
                let tally = self.tallies.entry(goal).or_default();
                tally.reached += 1;
                tally.times.push(u32::try_from(now - since).unwrap_or(u32::MAX));
            }
            Outcome::Refused(code) => {
                let Waiting { goal, .. } = self.waiting.swap_remove(place);
                let tally = self.tallies.entry(goal).or_default();
                tally.refused += 1;
                tally.last_code = code;
            }
        }
        Ok(())
    }

    /// Repeats what was not answered in time, and gives up on what never was.
    ///
    /// # Errors
    /// A connection broke.
    pub fn tick(&mut self, wires: &mut Wires, now: u64) -> io::Result<()> {
        let mut due = Vec::new();
        self.waiting.retain_mut(|waiting| {
            if waiting.again > now {
                return true;
            }
            waiting.again = now + (nanos(RETRANSMIT) << waiting.tries);
            waiting.tries += 1;
            let goes_on = waiting.tries <= TRIES;
            if goes_on {
                due.push(waiting.number);
            } else {
                self.tallies.entry(waiting.goal).or_default().silent += 1;
            }
            goes_on
        });
        due.into_iter().try_for_each(|number| self.ask(wires, number))
    }

    /// Leads clients to a goal, `at_once` of them at a time, and tells what became of them.
    ///
    /// # Errors
    /// A connection broke.
    pub fn lead(
        &mut self,
        wires: &mut Wires,
        clock: Clock,
        numbers: impl IntoIterator<Item = usize>,
        goal: Stage,
        at_once: usize,
    ) -> io::Result<Tally> {
        let mut numbers = numbers.into_iter().fuse();
        let mut arrivals = Vec::new();
        loop {
            let now = clock.nanos();
            while self.waiting() < at_once
                && let Some(number) = numbers.next()
            {
                self.begin(wires, number, goal, now)?;
            }
            wires.flush()?;
            wires.clear();
            if self.waiting() == 0 {
                break;
            }
            wires.receive(RETRANSMIT, &mut arrivals)?;
            let now = clock.nanos();
            for arrival in arrivals.drain(..).filter(|arrival| arrival.side == Side::Client) {
                self.arrived(wires, arrival, now)?;
            }
            self.tick(wires, now)?;
        }
        Ok(self.take_tally(goal))
    }

    fn ask(&self, wires: &mut Wires, number: usize) -> io::Result<()> {
        // Without memory it is said again later, like everything that gets lost.
        let Some(draft) = wires.draft() else { return Ok(()) };
        let len = self.sessions[number].request(&mut wires.draft_bytes(draft)[..REQUEST]);
        let len = len.map_err(|_| io::Error::other("a request is too long"))?;
        wires.send_up(number, draft, 0, len)
    }
}
