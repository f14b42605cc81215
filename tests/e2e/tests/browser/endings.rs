use e2e::{Browser, Look, Stunner};

#[tokio::test(flavor = "multi_thread")]
async fn t22_either_side_stops_and_a_new_call_works() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, bob) = browser.talking(&stunner.url).await;
    bob.click("terminate").await;
    let state = bob.await_end().await;
    assert_eq!((state.headline.as_str(), state.detail.as_str()), ("Call ended", "You hung up."));
    let state = alice.await_end().await;
    assert_eq!((state.headline.as_str(), state.detail.as_str()), ("Call ended", "Bob hung up."));
    bob.call("alice").await;
    alice.accept().await;
    alice.watch(1).await;
    bob.watch(1).await;
    bob.click("terminate").await;
    alice.await_end().await;
    bob.await_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t23_a_window_closed_in_mid_call_tells_the_other_and_comes_back() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, bob) = browser.talking(&stunner.url).await;
    bob.close().await;
    let state = alice.await_end().await;
    assert_eq!(state.outcome, "peer-stopped");
    let bob = browser.open(&stunner.url, Look::DESKTOP).await;
    bob.register("bob").await;
    bob.call("alice").await;
    alice.accept().await;
    alice.watch(1).await;
    bob.watch(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t24_an_unknown_callee_is_named() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let alice = browser.open(&stunner.url, Look::DESKTOP).await;
    alice.register("alice").await;
    alice.ask_to_call("zed").await;
    alice.await_line("User zed is not registered").await;
    alice.await_line("Call not accepted by peer. Closing call").await;
    let state = alice.await_end().await;
    assert_eq!((state.outcome.as_str(), state.detail.as_str()), ("refused", "User zed is not registered."));
}

#[tokio::test(flavor = "multi_thread")]
async fn t24_a_declined_call_leaves_both_free() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, bob) = browser.two(&stunner.url).await;
    alice.call("bob").await;
    bob.await_ring().await;
    bob.screenshot("ringing-callee").await;
    alice.screenshot("ringing-caller").await;
    bob.click("decline").await;
    alice.await_line("user declined").await;
    assert_eq!(alice.await_end().await.detail, "User declined.");
    bob.await_end().await;
    // Escape is a way to say no, too.
    alice.call("bob").await;
    bob.await_ring().await;
    bob.press("accept", "\u{e00c}").await;
    alice.await_end().await;
    bob.call("alice").await;
    alice.accept().await;
    alice.watch(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w13_a_caller_may_give_up_while_it_rings() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, bob) = browser.two(&stunner.url).await;
    alice.call("bob").await;
    bob.await_ring().await;
    alice.click("cancel").await;
    alice.await_end().await;
    let state = bob.await_end().await;
    assert_eq!((state.headline.as_str(), state.detail.as_str()), ("No call", "Alice hung up."));
    assert_eq!(bob.script("return incoming.open").await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn w8_a_third_window_hears_that_both_are_busy() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, _bob) = browser.talking(&stunner.url).await;
    let carol = browser.open(&stunner.url, Look::DESKTOP).await;
    carol.register("carol").await;
    carol.ask_to_call("bob").await;
    assert_eq!(carol.await_end().await.detail, "User bob is busy.");
    let before = alice.state().await.frames();
    alice.watch(before + 30).await;
}
