use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::output::DeadlineReason::{Allocation, Channel, Permission};
use super::Deadlines;
use crate::testing::START;

fn after(millis: u64) -> Instant {
    *START + Duration::from_millis(millis)
}

fn due(deadlines: &mut Deadlines, now: Instant) -> Vec<u32> {
    let mut due: Vec<u32> = std::iter::from_fn(|| deadlines.take_due(now)).collect();
    due.sort_unstable();
    due
}

#[test]
fn deadline_comes_at_the_next_quarter_second_and_once() {
    let mut deadlines = Deadlines::new(*START);
    deadlines.set(7, after(1001), Permission);
    assert_eq!(deadlines.next().map(|next| (next.at, next.reason)), Some((after(1250), Permission)));
    assert_eq!(due(&mut deadlines, after(1249)), []);
    assert_eq!(due(&mut deadlines, after(1250)), [7]);
    assert_eq!(due(&mut deadlines, after(9999)), []);
    assert_eq!(deadlines.next(), None);
}

#[test]
fn deadline_that_is_moved_or_taken_back_does_not_come_when_it_was_to() {
    let mut deadlines = Deadlines::new(*START);
    for slot in 0..4 {
        deadlines.set(slot, after(1000), Channel);
    }
    deadlines.set(1, after(3000), Allocation);
    deadlines.clear(2);
    deadlines.clear(2);
    deadlines.clear(99);
    assert_eq!(due(&mut deadlines, after(2000)), [0, 3]);
    assert_eq!(due(&mut deadlines, after(3000)), [1]);
}

#[test]
fn deadline_in_the_past_comes_at_once() {
    let mut deadlines = Deadlines::new(*START);
    assert_eq!(due(&mut deadlines, after(10_000)), []);
    deadlines.set(0, after(1000), Allocation);
    assert_eq!(due(&mut deadlines, after(10_000)), [0]);
}

#[test]
fn deadline_beyond_the_wheel_comes_early_rather_than_never() {
    let mut deadlines = Deadlines::new(*START);
    deadlines.set(0, after(10_000_000), Allocation);
    let at = deadlines.next().unwrap().at;
    assert!(at > after(4_000_000) && at <= after(10_000_000));
    assert_eq!(due(&mut deadlines, at), [0]);
}

#[derive(Clone, Debug)]
enum Step {
    Set(u32, u64),
    Clear(u32),
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..20_u32, 0..3_700_000_u64).prop_map(|(slot, ahead)| Step::Set(slot, ahead)),
        1 => (0..20_u32).prop_map(Step::Clear),
        2 => (0..400_000_u64).prop_map(Step::Advance),
        1 => (0..5_000_000_u64).prop_map(Step::Advance),
    ];
    vec(step, 1..200)
}

proptest! {
    /// Against a plain list of slots and times, over several turns of the wheel.
    #[test]
    fn wheel_agrees_with_a_list(steps in steps()) {
        let mut deadlines = Deadlines::new(*START);
        let mut list = std::collections::BTreeMap::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Set(slot, ahead) => {
                    deadlines.set(slot, after(now + ahead), Allocation);
                    list.insert(slot, (now + ahead).next_multiple_of(250));
                }
                Step::Clear(slot) => {
                    deadlines.clear(slot);
                    list.remove(&slot);
                }
                Step::Advance(by) => {
                    now += by;
                    let expected: Vec<u32> =
                        list.iter().filter(|(_, at)| **at <= now).map(|(slot, _)| *slot).collect();
                    list.retain(|_, at| *at > now);
                    prop_assert_eq!(due(&mut deadlines, after(now)), expected);
                }
            }
            let next = list.values().min().map(|at| after(*at));
            prop_assert_eq!(deadlines.next().map(|next| next.at), next);
        }
    }
}
