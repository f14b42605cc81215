use super::*;

#[test]
fn t17_a_call_is_offered_taken_and_ended() {
    let mut bench = Bench::registered();
    assert_eq!(bench.from(ALICE, call(" bob ")), [rings(BOB, "alice")]);
    assert_eq!(bench.from(BOB, accept("alice")), [accepted(ALICE)]);
    assert_eq!(bench.from(ALICE, Request::Stop), [stopped(BOB)]);
    bench.assert_alice_and_bob_are_idle();
}

#[test]
fn t22_either_side_may_stop_once() {
    let mut bench = Bench::talking();
    assert_eq!(bench.from(BOB, Request::Stop), [stopped(ALICE)]);
    assert_eq!(bench.from(ALICE, Request::Stop), [], "crossed with the end");
    assert_eq!(bench.from(BOB, Request::Stop), []);
    bench.assert_alice_and_bob_are_idle();
}

#[test]
fn t23_a_closed_window_tells_the_other() {
    let mut bench = Bench::talking();
    assert_eq!(bench.gone(BOB), [stopped(ALICE)]);
    assert_eq!(bench.from(ALICE, call("bob")), [refused(ALICE, "User bob is not registered")]);
    let back = SessionId(4);
    bench.board.handle_connected(back);
    bench.from(back, register("bob"));
    bench.ice(back, Ok(ice(1)));
    assert_eq!(bench.from(ALICE, call("bob")), [rings(back, "alice")]);
}

#[test]
fn t24_an_unknown_or_unwilling_callee_leaves_the_caller_idle() {
    let mut bench = Bench::registered();
    for name in ["zed", "__proto__", "constructor", ""] {
        let why = format!("User {name} is not registered");
        assert_eq!(bench.from(ALICE, call(name)), [refused(ALICE, &why)]);
    }
    assert_eq!(bench.from(ALICE, call("bob")), [rings(BOB, "alice")]);
    assert_eq!(bench.from(BOB, refuse("alice")), [refused(ALICE, "user declined")]);
    bench.assert_alice_and_bob_are_idle();
}

#[test]
fn w16_a_callee_without_camera_says_so() {
    let mut bench = Bench::ringing();
    let answer = Answer::Refuse(Refusal::NoMedia);
    let refusal = bench.from(BOB, Request::Answer { from: "alice".to_owned(), answer });
    assert_eq!(refusal, [refused(ALICE, "user has no camera or microphone")]);
    bench.assert_alice_and_bob_are_idle();
}

#[test]
fn w8_a_busy_callee_is_left_alone() {
    let mut bench = Bench::ringing();
    assert_eq!(bench.from(CAROL, call("bob")), [refused(CAROL, "User bob is busy")]);
    assert_eq!(bench.from(CAROL, call("alice")), [refused(CAROL, "User alice is busy")]);
    assert_eq!(bench.from(BOB, accept("alice")), [accepted(ALICE)]);
    assert_eq!(bench.from(CAROL, call("bob")), [refused(CAROL, "User bob is busy")]);
    assert_eq!(bench.gone(CAROL), [], "a stranger's end ends nobody's call");
    assert_eq!(bench.from(ALICE, Request::Stop), [stopped(BOB)]);
}

#[test]
fn w8_after_a_refusal_a_disconnect_ends_nobody_elses_call() {
    let mut bench = Bench::ringing();
    bench.from(BOB, refuse("alice"));
    assert_eq!(bench.from(CAROL, call("bob")), [rings(BOB, "carol")]);
    assert_eq!(bench.from(BOB, accept("carol")), [accepted(CAROL)]);
    assert_eq!(bench.gone(ALICE), []);
    assert_eq!(bench.from(BOB, Request::Stop), [stopped(CAROL)]);
}

#[test]
fn nobody_calls_oneself() {
    let mut bench = Bench::registered();
    assert_eq!(bench.from(ALICE, call("alice")), [refused(ALICE, "you cannot call yourself")]);
    bench.assert_alice_and_bob_are_idle();
}

#[test]
fn one_call_at_a_time() {
    let mut bench = Bench::ringing();
    assert_eq!(bench.from(ALICE, call("carol")), [error(ALICE, "one call at a time")]);
    assert_eq!(bench.from(BOB, call("carol")), [error(BOB, "one call at a time")]);
    bench.from(BOB, accept("alice"));
    assert_eq!(bench.from(ALICE, call("carol")), [error(ALICE, "one call at a time")]);
}

#[test]
fn w1_calls_and_answers_of_strangers_are_errors() {
    let mut bench = Bench::new();
    for request in [call("bob"), accept("bob"), refuse("bob"), trickle(1)] {
        assert_eq!(bench.from(ALICE, request), [error(ALICE, "register first")]);
    }
    for request in [Request::Stop, Request::Candidate(None)] {
        assert_eq!(bench.from(ALICE, request), []);
    }
}

#[test]
fn an_answer_to_nobody_ends_in_stop() {
    let mut bench = Bench::registered();
    let unknown = Output::Send(BOB, Reply::UnknownCaller("zed".to_owned()));
    assert_eq!(bench.from(BOB, accept("zed")), [unknown]);
    assert_eq!(bench.from(BOB, refuse("zed")), [], "the caller has hung up meanwhile");
    let mut bench = Bench::talking();
    assert_eq!(bench.from(BOB, accept("alice")), [error(BOB, "nobody is calling")]);
    assert_eq!(bench.from(ALICE, accept("bob")), [error(ALICE, "nobody is calling")]);
}

#[test]
fn an_answer_to_somebody_else_ends_the_call_that_rings() {
    let mut bench = Bench::ringing();
    let unknown = Output::Send(BOB, Reply::UnknownCaller("carol".to_owned()));
    assert_eq!(bench.from(BOB, accept("carol")), [refused(ALICE, "user declined"), unknown]);
    bench.assert_alice_and_bob_are_idle();
}

#[test]
fn a_caller_may_give_up_while_it_rings() {
    let mut bench = Bench::ringing();
    assert_eq!(bench.from(ALICE, Request::Stop), [stopped(BOB)]);
    let unknown = Output::Send(BOB, Reply::UnknownCaller("alice".to_owned()));
    assert_eq!(bench.from(BOB, accept("alice")), [unknown], "too late");
    bench.assert_alice_and_bob_are_idle();
    assert_eq!(bench.pass(60), [], "the old ring time-out is of no account");
}

#[test]
fn w13_an_unanswered_call_ends_after_a_minute() {
    let mut bench = Bench::ringing();
    assert_eq!(bench.pass(59), []);
    let missed = Output::Send(BOB, Reply::StopCommunication("the call was not answered"));
    assert_eq!(bench.pass(1), [refused(ALICE, "User bob did not answer"), missed]);
    bench.assert_alice_and_bob_are_idle();
}

#[test]
fn an_answered_call_does_not_time_out() {
    let mut bench = Bench::talking();
    assert_eq!(bench.pass(60), []);
    assert_eq!(bench.from(ALICE, Request::Stop), [stopped(BOB)]);
}

#[test]
fn a_second_call_rings_its_own_minute() {
    let mut bench = Bench::ringing();
    bench.pass(30);
    bench.from(ALICE, Request::Stop);
    bench.from(ALICE, call("bob"));
    assert_eq!(bench.pass(59), []);
    assert_eq!(bench.pass(1).len(), 2);
}

#[test]
fn a_caller_or_callee_may_vanish_while_it_rings() {
    let mut bench = Bench::ringing();
    assert_eq!(bench.gone(ALICE), [stopped(BOB)]);
    let mut bench = Bench::ringing();
    assert_eq!(bench.gone(BOB), [stopped(ALICE)]);
}

#[test]
fn w16_a_running_call_is_renegotiated_and_no_other() {
    let restart = || Request::Restart { offer: sdp("again") };
    let answer = || Request::RestartAnswer { answer: sdp("fine") };
    let mut bench = Bench::talking();
    assert_eq!(bench.from(ALICE, restart()), [Output::Send(BOB, Reply::Restart { offer: sdp("again") })]);
    assert_eq!(
        bench.from(BOB, answer()),
        [Output::Send(ALICE, Reply::RestartAnswer { answer: sdp("fine") })]
    );
    assert_eq!(bench.from(CAROL, restart()), []);
    let mut bench = Bench::ringing();
    assert_eq!(bench.from(ALICE, restart()), []);
}
