//! Records for the DTLS endpoint of a listener, in every state a client can be in.
//!
//! An input is a script: whoever reads it plays an honest client with a session, one in the middle of its handshake,
//! and somebody who sends whatever the script says from the addresses of both, and from others. It knows no keys.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use net::{
    DTLS_BEHIND, DTLS_IN_FRONT, DtlsClient, DtlsEndpoint, DtlsEvent, DtlsPeer, Identity, dtls_record_len,
};

use crate::path_of;

/// Steps, and headers of records and messages.
pub const WORDS: &[&[u8]] = &[
    // A record as it is, a hello, one with a cookie that was given, one with another, a changed message, time.
    b"\x00\x02\x20",
    b"\x01\x02",
    b"\x02\x02",
    b"\x03\x02\x10",
    b"\x04\x00\x00\x0e\x01",
    b"\x05\x02",
    // A handshake that goes on, and data of the session that was changed on its way.
    b"\x06\x00",
    b"\x07\x00\x00\x05\x01",
    // Records: handshake, alert, change of keys, data; without keys and with.
    b"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20",
    b"\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x09\x00\x02\x02\x28",
    b"\x14\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x08\x00\x01\x01",
    b"\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x05\x00\x20",
    b"\x17\xfe\xfd\x00\x01\xff\xff\xff\xff\xff\xff\x00\x20",
    // Messages: hello, key exchange, proof, a fragment.
    b"\x01\x00\x00\x50\x00\x00\x00\x00\x00\x00\x00\x50\xfe\xfd",
    b"\x10\x00\x00\x21\x00\x02\x00\x00\x00\x00\x00\x21\x20",
    b"\x14\x00\x00\x0c\x00\x03\x00\x00\x00\x00\x00\x0c",
    b"\x01\x00\x10\x00\x00\x00\x00\x00\x10\x00\x00\x10",
];

/// Steps of one script.
const LONGEST: usize = 100;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Whom the script may play.
const PEERS: u8 = 6;
/// The honest client with a session, and the one in its handshake.
const TALKING: u8 = 0;
const BEGINNING: u8 = 1;

/// Plays a script.
pub fn dtls(input: &[u8]) -> u64 {
    let mut world = World::new();
    let mut script = Script(input);
    let mut steps = Vec::new();
    for _ in 0..LONGEST {
        let Some(step) = world.step(&mut script) else { break };
        steps.push(step);
        world.holds();
    }
    world.talks();
    path_of(&steps)
}

/// What is left of an input.
pub(crate) struct Script<'i>(pub(crate) &'i [u8]);

impl<'i> Script<'i> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> &'i [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Changes a byte of something on its way, or cuts its end off.
    pub(crate) fn change(&mut self, datagram: &mut Vec<u8>) -> Option<()> {
        let at = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?])) % datagram.len();
        match self.byte()? {
            0 => datagram.truncate(at),
            by => datagram[at] ^= by,
        }
        Some(())
    }
}

struct World {
    endpoint: DtlsEndpoint,
    now: Instant,
    /// With a session.
    talking: DtlsClient,
    /// With a handshake, and what it has to say yet, the last first.
    beginning: DtlsClient,
    unsaid: Vec<Vec<u8>>,
    /// The cookie that each peer was given last.
    cookies: [Vec<u8>; PEERS as usize],
    /// Who has proved an address, and may be told more than it says.
    proved: [bool; PEERS as usize],
    begun: usize,
}

fn identity() -> Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    let make = || {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = signed.signing_key.serialize_pem();
        Identity::from_pem(signed.cert.pem().as_bytes(), key.as_bytes()).unwrap()
    };
    IDENTITY.get_or_init(make).clone()
}

pub(crate) fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "somewhere the virtual time has to begin")]
    let begin = Instant::now;
    *START.get_or_init(begin)
}

pub(crate) fn peer(number: u8) -> DtlsPeer {
    let remote = ([10, 0, 0, number % PEERS], 1024).into();
    DtlsPeer { remote, local: ([127, 0, 0, 1], 3478).into() }
}

fn number(peer: DtlsPeer) -> usize {
    (0..PEERS).find(|number| self::peer(*number) == peer).map_or(0, usize::from)
}

impl World {
    fn new() -> Self {
        let now = start();
        let mut world = Self {
            endpoint: DtlsEndpoint::new(identity(), &[7; 32], now),
            now,
            talking: DtlsClient::new(peer(TALKING), 1),
            beginning: DtlsClient::new(peer(BEGINNING), 2),
            unsaid: Vec::new(),
            cookies: Default::default(),
            proved: [false; PEERS as usize],
            begun: 0,
        };
        for who in [TALKING, BEGINNING] {
            let flight = world.begin(who);
            let answer = world.client(who).answer(&flight).unwrap();
            if who == BEGINNING {
                world.unsaid = answer.into_iter().rev().collect();
                continue;
            }
            for record in answer {
                world.deliver(peer(who), &record);
            }
        }
        // As it is while there is an allocation: time does not end it.
        world.endpoint.hold(&peer(TALKING));
        world.talks();
        world
    }

    fn client(&mut self, who: u8) -> &mut DtlsClient {
        if who == TALKING { &mut self.talking } else { &mut self.beginning }
    }

    /// Says hello twice; returns what the server says to the second.
    fn begin(&mut self, who: u8) -> Vec<Vec<u8>> {
        let hello = self.client(who).hello(&[]);
        self.deliver(peer(who), &hello);
        let cookie = self.cookies[usize::from(who)].clone();
        let hello = self.client(who).hello(&cookie);
        self.deliver(peer(who), &hello).1
    }

    /// One step; a number that tells its outcome from others.
    fn step(&mut self, script: &mut Script<'_>) -> Option<u64> {
        let kind = script.byte()? % 8;
        let who = script.byte()? % PEERS;
        let event = match kind {
            0 => {
                let len = script.byte()?.into();
                let record = script.bytes(len).to_vec();
                self.deliver(peer(who), &record)
            }
            1..=3 => {
                let cookie = match kind {
                    1 => Vec::new(),
                    2 => self.cookies[usize::from(who)].clone(),
                    _ => {
                        let len = script.byte()? % 40;
                        script.bytes(len.into()).to_vec()
                    }
                };
                let hello = DtlsClient::new(peer(who), who + 10).hello(&cookie);
                self.deliver(peer(who), &hello)
            }
            // A message of the handshake, changed on its way, and then as it was.
            4 => {
                let mut record = self.unsaid.last()?.clone();
                script.change(&mut record)?;
                self.deliver(peer(BEGINNING), &record)
            }
            5 => {
                self.now += Duration::from_millis(250) * u32::from(script.byte()?);
                let mut expired = 0;
                while self.endpoint.poll_expired(self.now).is_some() {
                    expired += 1;
                }
                self.drain();
                return Some(1 << 32 | expired);
            }
            6 => {
                let record = self.unsaid.pop()?;
                self.deliver(peer(BEGINNING), &record)
            }
            _ => {
                let mut record = self.talking.data(b"something to be changed").unwrap();
                script.change(&mut record)?;
                self.deliver(peer(TALKING), &record)
            }
        };
        Some(u64::from(kind) << 16 | u64::from(event.0))
    }

    /// A datagram arrives; what became of its last record, and what is said to its sender.
    fn deliver(&mut self, from: DtlsPeer, datagram: &[u8]) -> (u8, Vec<Vec<u8>>) {
        let mut outcome = 0;
        let mut bytes = datagram.to_vec();
        let mut rest = &mut bytes[..];
        while let Some(len) = dtls_record_len(rest) {
            let (record, behind) = rest.split_at_mut(len);
            outcome = self.handle(from, record);
            rest = behind;
        }
        let mut said = Vec::new();
        let mut len = 0;
        for (to, answer) in self.drain() {
            len += answer.len();
            if to == from {
                said.push(answer);
            }
        }
        // Whoever has not proved to be there gets less than it sent.
        assert!(self.proved[number(from)] || len <= datagram.len(), "{len} bytes for {}", datagram.len());
        (outcome, said)
    }

    fn handle(&mut self, from: DtlsPeer, record: &mut [u8]) -> u8 {
        let whole = record.to_vec();
        match self.endpoint.handle(from, record, self.now) {
            DtlsEvent::Handled => 1,
            DtlsEvent::Stray => 2,
            DtlsEvent::Proved => {
                let cookie = &self.cookies[number(from)];
                let is_known = !cookie.is_empty() && whole.windows(cookie.len()).any(|part| part == cookie);
                assert!(is_known, "a cookie that nobody was given");
                self.proved[number(from)] = true;
                let begun = self.endpoint.begin(from, &whole, self.now + PATIENCE, self.now);
                self.begun += usize::from(begun.is_some());
                3 + u8::from(begun.is_some())
            }
            DtlsEvent::Data(Range { start, end }) => {
                assert_eq!(from, peer(TALKING), "data without keys");
                assert!(start <= end && end <= record.len());
                5
            }
            DtlsEvent::Established { .. } => {
                assert!(from == peer(TALKING) || from == peer(BEGINNING), "a session without keys");
                6
            }
            DtlsEvent::Failed { gone, .. } => {
                assert!(!gone || from != peer(TALKING), "nobody can forge what ends a session");
                7
            }
            DtlsEvent::Closed { .. } => panic!("a goodbye without keys"),
        }
    }

    /// What the endpoint has to say, with the cookies in it noted.
    fn drain(&mut self) -> Vec<(DtlsPeer, Vec<u8>)> {
        let mut said = Vec::new();
        while let Some((to, datagram)) = self.endpoint.poll_transmit() {
            if let Some(cookie) = DtlsClient::cookie(datagram) {
                self.cookies[number(to)] = cookie.to_vec();
            }
            said.push((to, datagram.to_vec()));
        }
        said
    }

    /// There is no client that never proved its address, and nothing is due in the past.
    fn holds(&mut self) {
        let proved = self.proved.iter().filter(|proved| **proved).count();
        assert!(self.endpoint.len() <= proved, "{} clients", self.endpoint.len());
        assert!(self.begun == 0 || proved > 0);
    }

    /// Whatever others did, the session of the honest client goes both ways.
    fn talks(&mut self) {
        let mut record = self.talking.data(b"to the server").unwrap();
        let event = self.endpoint.handle(peer(TALKING), &mut record, self.now);
        let DtlsEvent::Data(place) = event else { panic!("no data: {event:?}") };
        assert_eq!(&record[place], b"to the server");
        let mut answer = vec![0; DTLS_IN_FRONT];
        answer.extend(b"to the client");
        answer.extend([0; DTLS_BEHIND]);
        let place = self.endpoint.seal(&peer(TALKING), &mut answer).unwrap();
        assert_eq!(self.talking.open(&answer[place]).unwrap(), b"to the client");
    }
}
