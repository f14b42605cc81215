//! Allocations that do nothing: what they cost in memory, and what they cost the packets of others.

use std::io;

use super::relay::{Crowd, Relay};
use super::{Figure, Sample, Times};
use crate::load::Shape;
use crate::server::{Setting, Subject};
use crate::session::Stage;

/// Clients that allocate at the same time.
const AT_ONCE: usize = 64;

/// Lets packets pass, then adds clients with a permission and a channel each that do nothing, as many as the server
/// takes, and lets packets pass again.
pub(super) fn measure(
    subject: Subject,
    setting: &Setting,
    shape: Shape,
    allocations: usize,
    times: Times,
) -> io::Result<Sample> {
    let mut relay = Relay::start(subject, setting, shape)?;
    let alone = relay.run(times)?;
    let before = relay.server.account.resident()?;
    let Crowd { wires, signalling, clock, .. } = &mut relay.crowd;
    let first = signalling.clients();
    for number in first..first + allocations {
        signalling.add(wires.peer(number));
    }
    let tally = signalling.lead(wires, *clock, first..first + allocations, Stage::Bound, AT_ONCE)?;
    let after = relay.server.account.resident()?;
    let among_idle = relay.run(times)?;
    Ok(Sample::from([
        (Figure::CpuPerPacket, alone[&Figure::CpuPerPacket]),
        (Figure::CpuPerPacketAmongIdle, among_idle[&Figure::CpuPerPacket]),
        (Figure::Allocations, tally.reached as f64),
        (Figure::BytesPerAllocation, after.saturating_sub(before) as f64 / tally.reached as f64),
    ]))
}
