//! How much of what is sent comes back, and when: numbered messages to an echo.

use std::fmt;
use std::time::Duration;

/// Bytes of a message.
pub const MESSAGE_LEN: usize = 100;

/// The messages of one measurement. Times are counted from its beginning.
#[derive(Debug, Default)]
pub struct Probe {
    /// Of each message sent, whether it has come back.
    returned: Vec<bool>,
    round_trips: Vec<Duration>,
    duplicates: u64,
    strangers: u64,
}

/// What a measurement found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Messages sent.
    pub sent: usize,
    /// Of those, how many came back at least once.
    pub received: usize,
    /// Copies that came back more than once.
    pub duplicates: u64,
    /// Messages that came back and were not sent like that.
    pub strangers: u64,
    /// Messages sent per second.
    pub rate: f64,
    /// Times from sending to coming back; `None` if nothing came back.
    pub round_trip: Option<RoundTrip>,
}

/// Times from sending to coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// Their mean.
    pub mean: Duration,
    /// Half of them are no longer.
    pub median: Duration,
    /// 95 of a hundred are no longer.
    pub p95: Duration,
    /// 99 of a hundred are no longer.
    pub p99: Duration,
}

impl Probe {
    /// The next message, to be sent now: number, time in nanoseconds, both big endian, and the number's lowest byte
    /// for the rest.
    pub fn next_message(&mut self, now: Duration) -> [u8; MESSAGE_LEN] {
        let number = u32::try_from(self.returned.len()).unwrap_or(u32::MAX);
        self.returned.push(false);
        let mut message = [number as u8; MESSAGE_LEN];
        message[..4].copy_from_slice(&number.to_be_bytes());
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        message[4..12].copy_from_slice(&nanos.to_be_bytes());
        message
    }

    /// Notes what came back.
    pub fn take(&mut self, message: &[u8], now: Duration) {
        let Some((number, sent)) = read(message) else {
            self.strangers += 1;
            return;
        };
        match self.returned.get_mut(number) {
            Some(returned) if !*returned && sent <= now => {
                *returned = true;
                self.round_trips.push(now - sent);
            }
            Some(true) => self.duplicates += 1,
            Some(false) | None => self.strangers += 1,
        }
    }

    /// How many messages have not come back.
    pub fn missing(&self) -> usize {
        self.returned.len() - self.round_trips.len()
    }

    /// The numbers; `elapsed` is how long messages were sent.
    pub fn summary(&self, elapsed: Duration) -> Summary {
        let sent = self.returned.len();
        let rate = if elapsed.is_zero() { 0.0 } else { sent as f64 / elapsed.as_secs_f64() };
        Summary {
            sent,
            received: self.round_trips.len(),
            duplicates: self.duplicates,
            strangers: self.strangers,
            rate,
            round_trip: RoundTrip::of(&self.round_trips),
        }
    }
}

/// Number and time of a message that is as it was sent.
fn read(message: &[u8]) -> Option<(usize, Duration)> {
    let (number, rest) = message.split_first_chunk::<4>()?;
    let (nanos, filling) = rest.split_first_chunk::<8>()?;
    let is_whole = message.len() == MESSAGE_LEN && filling.iter().all(|byte| *byte == number[3]);
    let number = usize::try_from(u32::from_be_bytes(*number)).ok()?;
    is_whole.then(|| (number, Duration::from_nanos(u64::from_be_bytes(*nanos))))
}

impl RoundTrip {
    fn of(times: &[Duration]) -> Option<Self> {
        let mut times = times.to_vec();
        times.sort_unstable();
        // The smallest time that is no shorter than so many of a hundred.
        let quantile = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1));
        let total: Duration = times.iter().sum();
        Some(Self {
            mean: total / u32::try_from(times.len()).ok().filter(|count| *count > 0)?,
            median: *quantile(50)?,
            p95: *quantile(95)?,
            p99: *quantile(99)?,
        })
    }
}

impl Summary {
    /// Messages that did not come back.
    pub fn lost(&self) -> usize {
        self.sent - self.received
    }

    /// How many of a hundred messages did not come back; 0 if none was sent.
    pub fn loss_percent(&self) -> f64 {
        if self.sent == 0 { 0.0 } else { 100.0 * self.lost() as f64 / self.sent as f64 }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, sent, percent) = (self.lost(), self.sent, self.loss_percent());
        write!(f, "rate={:.2}pps, loss={lost}/{sent}pkts={percent:.2}%, ", self.rate)?;
        match self.round_trip {
            None => f.write_str("RTT:none"),
            Some(RoundTrip { mean, median, p95, p99 }) => {
                let [mean, median, p95, p99] = [mean, median, p95, p99].map(|it| it.as_secs_f64() * 1e3);
                write!(f, "RTT:mean={mean:.2}ms/median={median:.2}ms/P95={p95:.2}ms/P99={p99:.2}ms")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn messages_are_numbered_stamped_and_filled() {
        let mut probe = Probe::default();
        for _ in 0..258 {
            probe.next_message(ms(1));
        }
        let message = probe.next_message(Duration::from_nanos(0x0102));
        assert_eq!(message[..12], [0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert!(message[12..].iter().all(|byte| *byte == 2));
    }

    #[test]
    fn what_comes_back_twice_late_or_changed_is_told_apart() {
        let mut probe = Probe::default();
        let messages: Vec<_> = (0..4).map(|at| probe.next_message(ms(at))).collect();
        probe.take(&messages[0], ms(10));
        probe.take(&messages[0], ms(11));
        probe.take(&messages[2], ms(22));
        let mut changed = messages[1];
        changed[50] ^= 1;
        probe.take(&changed, ms(30));
        probe.take(b"short", ms(30));
        assert_eq!(probe.missing(), 2);
        let summary = probe.summary(ms(2000));
        assert_eq!((summary.sent, summary.received, summary.duplicates, summary.strangers), (4, 2, 1, 2));
        let text =
            "rate=2.00pps, loss=2/4pkts=50.00%, RTT:mean=15.00ms/median=10.00ms/P95=20.00ms/P99=20.00ms";
        assert_eq!(summary.to_string(), text);
    }

    #[test]
    fn quantiles_are_the_smallest_sample_with_that_share() {
        let times: Vec<_> = (1..=100).rev().map(ms).collect();
        let found = RoundTrip::of(&times).unwrap();
        assert_eq!((found.median, found.p95, found.p99), (ms(50), ms(95), ms(99)));
        assert_eq!(found.mean, Duration::from_micros(50_500));
        let one = RoundTrip::of(&[ms(7)]).unwrap();
        assert_eq!((one.mean, one.median, one.p95, one.p99), (ms(7), ms(7), ms(7), ms(7)));
    }

    #[test]
    fn nothing_sent_and_nothing_returned_are_no_numbers_to_divide_by() {
        let mut probe = Probe::default();
        assert_eq!(probe.summary(Duration::ZERO).to_string(), "rate=0.00pps, loss=0/0pkts=0.00%, RTT:none");
        probe.next_message(ms(0));
        assert_eq!(probe.summary(ms(1000)).to_string(), "rate=1.00pps, loss=1/1pkts=100.00%, RTT:none");
    }
}
