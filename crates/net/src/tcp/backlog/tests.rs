use super::*;
use Worth::{Fleeting, Lasting};

/// A backlog for 100 bytes with messages in it, each of which is its number ten times.
fn filled(worths: &[Worth]) -> Backlog {
    let mut backlog = Backlog::default();
    backlog.limit(100);
    for (worth, number) in worths.iter().zip(0..) {
        assert_eq!(add(&mut backlog, number, *worth), Pushed { kept: true, dropped: 0 });
    }
    backlog
}

fn add(backlog: &mut Backlog, number: u8, worth: Worth) -> Pushed {
    backlog.push(10, [&[number; 4][..], &[number; 6]], worth)
}

/// Takes everything out, some bytes at a time; each message by its number and the length of what was left of it.
fn contents(backlog: &mut Backlog) -> Vec<(u8, usize)> {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    while !backlog.is_empty() {
        let (front, back) = backlog.as_slices();
        let count = (front.len() + back.len()).min(7);
        for byte in front.iter().chain(back).take(count) {
            match runs.last_mut() {
                Some((number, len)) if number == byte => *len += 1,
                _ => runs.push((*byte, 1)),
            }
        }
        backlog.consume(count);
    }
    assert!(backlog.messages.is_empty() && !backlog.started);
    runs
}

#[test]
fn the_oldest_messages_of_fleeting_worth_make_room() {
    let mut backlog = filled(&[Fleeting; 10]);
    assert_eq!(add(&mut backlog, 10, Fleeting), Pushed { kept: true, dropped: 1 });
    assert_eq!(backlog.push(25, [&[11; 25][..]], Fleeting), Pushed { kept: true, dropped: 3 });
    let expected = (4..=10).map(|number| (number, 10)).chain([(11, 25)]);
    assert_eq!(contents(&mut backlog), expected.collect::<Vec<_>>());
}

#[test]
fn a_message_that_is_on_its_way_and_those_of_lasting_worth_stay() {
    let mut backlog = filled(&[Fleeting, Fleeting, Lasting, Fleeting, Lasting, Lasting, Fleeting]);
    backlog.consume(3);
    assert_eq!(backlog.push(60, [&[7; 60][..]], Fleeting), Pushed { kept: true, dropped: 3 });
    assert_eq!(contents(&mut backlog), [(0, 7), (2, 10), (4, 10), (5, 10), (7, 60)]);
}

#[test]
fn a_rest_follows_even_if_there_is_no_room() {
    let mut backlog = Backlog::default();
    backlog.limit(5);
    backlog.push_rest(6, 14, [&[1; 4][..], &[2; 10]]);
    assert_eq!(backlog.push(4, [&[3; 4][..]], Fleeting), Pushed { kept: false, dropped: 1 });
    assert_eq!(contents(&mut backlog), [(2, 8)]);
    assert_eq!(backlog.push(4, [&[3; 4][..]], Fleeting), Pushed { kept: true, dropped: 0 });
}

#[test]
fn a_message_for_which_no_room_can_be_made_is_dropped_itself() {
    let mut backlog = filled(&[Lasting; 10]);
    assert_eq!(add(&mut backlog, 10, Lasting), Pushed { kept: false, dropped: 1 });
    let mut backlog = filled(&[Fleeting; 10]);
    assert_eq!(backlog.push(101, [&[0; 101][..]], Lasting), Pushed { kept: false, dropped: 1 });
    assert_eq!(contents(&mut backlog).len(), 10);
}

#[test]
fn an_empty_backlog_holds_little_memory() {
    let mut backlog = Backlog::default();
    for _ in 0..10_000 {
        backlog.push(1000, [&[0; 1000][..]], Fleeting);
    }
    assert!(backlog.bytes.len() <= Backlog::DEFAULT_LIMIT);
    contents(&mut backlog);
    assert!(backlog.bytes.capacity() <= KEPT && backlog.messages.capacity() <= KEPT);
}
