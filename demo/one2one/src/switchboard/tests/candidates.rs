use super::*;

#[test]
fn t19_candidates_of_a_running_call_go_to_the_other_side() {
    let mut bench = Bench::talking();
    assert_eq!(bench.from(ALICE, trickle(1)), [arrives(BOB, 1)]);
    assert_eq!(bench.from(BOB, trickle(2)), [arrives(ALICE, 2)]);
    assert_eq!(bench.from(ALICE, Request::Candidate(None)), []);
}

#[test]
fn w9_w10_early_candidates_wait_for_the_answer_in_order() {
    let mut bench = Bench::registered();
    assert_eq!(bench.from(ALICE, trickle(1)), []);
    bench.from(ALICE, call("bob"));
    assert_eq!(bench.from(ALICE, trickle(2)), []);
    assert_eq!(bench.from(BOB, trickle(3)), []);
    let expected = [accepted(ALICE), arrives(BOB, 1), arrives(BOB, 2), arrives(ALICE, 3)];
    assert_eq!(bench.from(BOB, accept("alice")), expected);
    assert_eq!(bench.from(ALICE, trickle(4)), [arrives(BOB, 4)]);
}

#[test]
fn w10_candidates_die_with_their_call() {
    let mut bench = Bench::ringing();
    bench.from(ALICE, trickle(1));
    bench.from(BOB, trickle(2));
    bench.from(BOB, refuse("alice"));
    bench.from(ALICE, call("bob"));
    assert_eq!(bench.from(BOB, accept("alice")), [accepted(ALICE)]);
}

#[test]
fn w10_stragglers_of_an_earlier_call_are_sorted_out_by_their_fragment() {
    let of = |fragment: &str| {
        let frame =
            json!({"id": "onIceCandidate", "candidate": {"candidate": "c", "usernameFragment": fragment}});
        Request::parse(&frame.to_string()).unwrap()
    };
    let mut bench = Bench::registered();
    bench.from(ALICE, of("old"));
    bench.from(ALICE, of("new"));
    bench.from(ALICE, Request::Call { to: "bob".to_owned(), offer: sdp("a=ice-ufrag:new") });
    let Request::Candidate(Some(fresh)) = of("new") else { unreachable!() };
    let expected = [accepted(ALICE), Output::Send(BOB, Reply::Candidate(fresh))];
    assert_eq!(bench.from(BOB, accept("alice")), expected);
}

#[test]
fn w9_the_queue_is_bounded() {
    let mut bench = Bench::ringing();
    for n in 0..256 {
        assert_eq!(bench.from(ALICE, trickle(n)), []);
    }
    let full = error(ALICE, "too many candidates before the call is answered");
    assert_eq!(bench.from(ALICE, trickle(256)), [full]);
    assert_eq!(bench.from(BOB, accept("alice")).len(), 257);
}
