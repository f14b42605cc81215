//! Writes that failed, and when they are tried again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gateway::api::{Key, ObjectRef};
use tokio::time::Instant;

use crate::{
    plan::{Part, Targets, Write},
    unplanned::Cause,
};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// An object that changed under a write shows up in the watch; this is for when it does not.
const OUTDATED: Duration = Duration::from_millis(200);

/// Writes that failed, by what they write.
#[derive(Debug, Default)]
pub(crate) struct Backoffs(BTreeMap<(ObjectRef, Part), Backoff>);

#[derive(Debug)]
struct Backoff {
    fingerprint: u64,
    retry_at: Option<Instant>,
    pause: Duration,
    gateway: Option<Key>,
    /// Nothing for a write that was only late.
    message: Option<String>,
}

impl Backoffs {
    /// Notes a failure; every further one of the same write doubles the pause.
    pub(crate) fn failed(&mut self, part: (ObjectRef, Part), write: &Write, message: String, now: Instant) {
        let before = self.0.get(&part).filter(|before| before.fingerprint == write.fingerprint);
        let pause = before.map_or(FIRST, |before| (before.pause * 2).min(LONGEST));
        let backoff = Backoff {
            fingerprint: write.fingerprint,
            retry_at: Some(now + pause),
            pause,
            gateway: write.gateway.clone(),
            message: Some(message),
        };
        self.0.insert(part, backoff);
    }

    /// Notes that a write came too late to be right.
    pub(crate) fn postpone(&mut self, part: (ObjectRef, Part), fingerprint: u64, now: Instant) {
        let backoff = self.0.entry(part).or_insert(Backoff {
            fingerprint,
            retry_at: None,
            pause: OUTDATED,
            gateway: None,
            message: None,
        });
        backoff.fingerprint = fingerprint;
        backoff.retry_at = Some(now + OUTDATED);
    }

    /// Forgets the failures of what has been written; whether there were any.
    pub(crate) fn succeeded(&mut self, part: &(ObjectRef, Part)) -> bool {
        self.0.remove(part).is_some()
    }

    /// Whether the write has to wait. One that wants something else has not.
    pub(crate) fn holds(&self, part: &(ObjectRef, Part), fingerprint: u64, now: Instant) -> bool {
        let backoff = self.0.get(part).filter(|backoff| backoff.fingerprint == fingerprint);
        backoff.and_then(|backoff| backoff.retry_at).is_some_and(|retry_at| retry_at > now)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|backoff| backoff.retry_at).min()
    }

    /// Lets go of the times that have come, so that they are due once. Returns what they are about.
    pub(crate) fn wake(&mut self, now: Instant) -> Vec<ObjectRef> {
        let mut due = Vec::new();
        for ((target, _), backoff) in &mut self.0 {
            if backoff.retry_at.take_if(|retry_at| *retry_at <= now).is_some() {
                due.push(target.clone());
            }
        }
        self.0.retain(|_, backoff| backoff.retry_at.is_some() || backoff.message.is_some());
        due
    }

    /// Forgets the failures among `targets` that nobody wants written any more. Returns the Gateways that had them.
    pub(crate) fn keep_only(
        &mut self,
        targets: Targets<'_, Cause>,
        wanted: &BTreeSet<(ObjectRef, Part)>,
    ) -> Vec<Key> {
        let over = self.0.extract_if(.., |part, _| targets.contain(&part.0) && !wanted.contains(part));
        over.filter_map(|(_, backoff)| backoff.gateway).collect()
    }

    /// What cannot be written, by the Gateway for whose sake.
    pub(crate) fn failures(&self) -> BTreeMap<Key, String> {
        let failures = self.0.iter().filter(|((_, part), _)| *part != Part::Status);
        failures.filter_map(|(_, one)| Some((one.gateway.clone()?, one.message.clone()?))).collect()
    }
}
