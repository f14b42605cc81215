use super::*;

#[test]
fn s5_3_registration_asks_for_credentials_and_answers_with_them() {
    let mut bench = Bench::new();
    assert_eq!(bench.from(ALICE, register("alice")), [Output::QueryIce(ALICE, name("alice"))]);
    assert_eq!(bench.ice(ALICE, Ok(ice(1))), [Output::Send(ALICE, Reply::Registered(ice(1)))]);
}

#[test]
fn w5_bad_names_are_refused_and_a_good_one_may_follow() {
    let mut bench = Bench::new();
    let refused = |why: &str| vec![Output::Send(ALICE, Reply::RegisterRefused(why.to_owned()))];
    assert_eq!(bench.from(ALICE, register(" ")), refused("empty user name"));
    assert_eq!(
        bench.from(ALICE, register(&"x".repeat(65))),
        refused("user name is longer than 64 characters")
    );
    assert_eq!(bench.from(ALICE, register("alice")), [Output::QueryIce(ALICE, name("alice"))]);
}

#[test]
fn t16_a_taken_name_is_refused_and_another_works_at_once() {
    let mut bench = Bench::registered();
    let dave = SessionId(4);
    bench.board.handle_connected(dave);
    let refused = Output::Send(dave, Reply::RegisterRefused("User alice is already registered".to_owned()));
    assert_eq!(bench.from(dave, register("alice")), [refused]);
    assert_eq!(bench.from(dave, register("dave")), [Output::QueryIce(dave, name("dave"))]);
}

#[test]
fn w3_a_name_is_reserved_while_registering_and_free_again_after_a_failure() {
    let mut bench = Bench::new();
    bench.from(ALICE, register("alice"));
    let taken = Output::Send(BOB, Reply::RegisterRefused("User alice is already registered".to_owned()));
    assert_eq!(bench.from(BOB, register("alice")), [taken]);
    let failed = Output::Send(ALICE, Reply::RegisterRefused("auth is down".to_owned()));
    assert_eq!(bench.ice(ALICE, Err("auth is down")), [failed]);
    assert_eq!(bench.from(BOB, register("alice")), [Output::QueryIce(BOB, name("alice"))]);
    assert_eq!(bench.from(ALICE, register("ada")), [Output::QueryIce(ALICE, name("ada"))]);
}

#[test]
fn w3_a_name_that_is_only_reserved_cannot_be_called() {
    let mut bench = Bench::registered();
    let dave = SessionId(4);
    bench.board.handle_connected(dave);
    bench.from(dave, register("dave"));
    assert_eq!(bench.from(ALICE, call("dave")), [refused(ALICE, "User dave is not registered")]);
}

#[test]
fn w4_one_name_per_connection_and_none_after_it() {
    let mut bench = Bench::registered();
    let again = error(ALICE, "this connection is registered already");
    assert_eq!(bench.from(ALICE, register("alice2")), [again]);
    assert_eq!(bench.gone(ALICE), []);
    assert_eq!(bench.from(BOB, call("alice")), [refused(BOB, "User alice is not registered")]);
    let back = SessionId(4);
    bench.board.handle_connected(back);
    assert_eq!(bench.from(back, register("alice")), [Output::QueryIce(back, name("alice"))]);
}

#[test]
fn an_answer_for_a_connection_that_is_gone_is_ignored() {
    let mut bench = Bench::new();
    bench.from(ALICE, register("alice"));
    assert_eq!(bench.gone(ALICE), []);
    assert_eq!(bench.ice(ALICE, Ok(ice(1))), []);
    assert_eq!(bench.from(ALICE, Request::Stop), []);
    assert_eq!(bench.from(BOB, register("alice")), [Output::QueryIce(BOB, name("alice"))]);
}

#[test]
fn w1_malformed_frames_are_answered() {
    let mut bench = Bench::new();
    bench.board.handle_request(ALICE, Err(Malformed::NotAnObject), bench.now);
    let text = "Invalid message: expected one JSON object per frame";
    assert_eq!(bench.outputs(), [error(ALICE, text)]);
}

#[test]
fn w14_a_page_may_ask_for_fresh_credentials() {
    let mut bench = Bench::registered();
    let query = Output::QueryIce(ALICE, name("alice"));
    assert_eq!(bench.from(ALICE, Request::IceConfiguration), vec![query.clone()]);
    assert_eq!(bench.from(ALICE, Request::IceConfiguration), [], "one question at a time");
    assert_eq!(bench.ice(ALICE, Ok(ice(2))), [Output::Send(ALICE, Reply::IceConfiguration(ice(2)))]);
    assert_eq!(bench.from(ALICE, Request::IceConfiguration), [query]);
    let failed = Output::Send(ALICE, Reply::IceConfigurationRefused("down".to_owned()));
    assert_eq!(bench.ice(ALICE, Err("down")), [failed]);
}

#[test]
fn w14_credentials_are_for_registered_users() {
    let mut bench = Bench::new();
    assert_eq!(bench.from(ALICE, Request::IceConfiguration), [error(ALICE, "register first")]);
    bench.from(ALICE, register("alice"));
    assert_eq!(bench.from(ALICE, Request::IceConfiguration), [error(ALICE, "register first")]);
}

#[test]
fn w14_credentials_are_renewed_before_they_expire() {
    let mut bench = Bench::registered();
    bench.gone(BOB);
    bench.gone(CAROL);
    assert_eq!(bench.pass(749), []);
    assert_eq!(bench.pass(1), [Output::QueryIce(ALICE, name("alice"))]);
    assert_eq!(bench.ice(ALICE, Ok(ice(2))), [Output::Send(ALICE, Reply::IceConfiguration(ice(2)))]);
    assert_eq!(bench.pass(749), []);
    assert_eq!(bench.pass(1), [Output::QueryIce(ALICE, name("alice"))]);
    assert_eq!(bench.ice(ALICE, Err("down")), [], "nobody asked, and there is time to try again");
    assert_eq!(bench.pass(29), []);
    assert_eq!(bench.pass(1), [Output::QueryIce(ALICE, name("alice"))]);
}

#[test]
fn w14_credentials_fetched_on_request_put_the_renewal_off() {
    let mut bench = Bench::registered();
    bench.gone(BOB);
    bench.gone(CAROL);
    bench.pass(700);
    bench.from(ALICE, Request::IceConfiguration);
    bench.ice(ALICE, Ok(ice(2)));
    assert_eq!(bench.pass(749), []);
    assert_eq!(bench.pass(1), [Output::QueryIce(ALICE, name("alice"))]);
    assert_eq!(bench.from(ALICE, Request::IceConfiguration), [], "joins the question that is open");
    let failed = Output::Send(ALICE, Reply::IceConfigurationRefused("down".to_owned()));
    assert_eq!(bench.ice(ALICE, Err("down")), [failed]);
}

#[test]
fn w21_shutdown_ends_calls_and_closes_everything() {
    let mut bench = Bench::talking();
    bench.board.handle_shutdown();
    let away = |id| Output::Send(id, Reply::StopCommunication("the server is going away"));
    let expected = [away(ALICE), Output::Close(ALICE), away(BOB), Output::Close(BOB), Output::Close(CAROL)];
    assert_eq!(bench.outputs(), expected);
    assert_eq!(bench.board.poll_timeout(), None);
    assert_eq!(bench.gone(ALICE), []);
}
