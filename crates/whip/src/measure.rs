//! Sends numbered messages on a channel whose other end sends them back, and counts.

use std::time::Duration;

use client::probe::{Probe, Summary};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use crate::connection::{Connection, Ended, Event};

/// How to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// For how long messages are sent.
    pub duration: Duration,
    /// How many a second; 0 sends as fast as the channel takes them.
    pub rate: u32,
    /// How long to wait for the last of them.
    pub grace: Duration,
}

impl Default for Plan {
    /// 50 a second for 20 seconds, and two seconds for the last.
    fn default() -> Self {
        Self { duration: Duration::from_secs(20), rate: 50, grace: Duration::from_secs(2) }
    }
}

/// Measures.
///
/// # Errors
/// The connection ended before its time.
pub async fn measure(connection: &mut Connection, plan: Plan) -> Result<Summary, Ended> {
    let mut probe = Probe::default();
    let start = Instant::now();
    let end = start + plan.duration;
    let period = Duration::from_secs(1).checked_div(plan.rate).unwrap_or(Duration::from_micros(1));
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = sleep_until(end) => break,
            _ = ticks.tick() => connection.send(probe.next_message(start.elapsed()).to_vec()).await?,
            event = connection.next() => note(&mut probe, event, start)?,
        }
    }
    let elapsed = start.elapsed();
    let last = Instant::now() + plan.grace;
    while probe.missing() > 0 {
        match timeout_at(last, connection.next()).await {
            Ok(event) => note(&mut probe, event, start)?,
            Err(_) => break,
        }
    }
    Ok(probe.summary(elapsed))
}

fn note(probe: &mut Probe, event: Option<Event>, start: Instant) -> Result<(), Ended> {
    match event {
        Some(Event::Message(message)) => probe.take(&message, start.elapsed()),
        Some(Event::Open) => {}
        Some(Event::Ended(ended)) => return Err(ended),
        None => return Err(Ended::Closed),
    }
    Ok(())
}
