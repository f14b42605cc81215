use e2e::{Browser, Look, Stunner};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn w6_hostile_names_are_shown_and_do_nothing() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (mallory, bob) =
        (browser.open(&stunner.url, Look::DESKTOP).await, browser.open(&stunner.url, Look::DESKTOP).await);
    let name = "<img src=x onerror=alert(1)>";
    mallory.register(name).await;
    bob.register("bob").await;
    mallory.call("bob").await;
    assert_eq!(bob.await_ring().await, format!("User {name} is calling you. Do you accept the call?"));
    bob.screenshot("hostile-name").await;
    assert_eq!(bob.script("return document.querySelectorAll('#console img, dialog img').length").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_the_policy_keeps_markup_and_scripts_out() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let alice = browser.open(&stunner.url, Look::DESKTOP).await;
    let blocked = alice
        .script(
            "const tried = [];
             try { document.body.innerHTML = '<b>x</b>'; tried.push('markup'); } catch {}
             const script = document.createElement('script');
             try { script.textContent = 'document.title = 1'; document.head.append(script); } catch {}
             if (document.title === '1') tried.push('script');
             return tried;",
        )
        .await;
    assert_eq!(blocked, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn w20_everything_has_a_name_and_fits_a_phone() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let alice = browser.open(&stunner.url, Look::PHONE).await;
    alice.until("the page is connected", |state| state.line == "up").await;
    let nameless = alice
        .script(
            "return [...document.querySelectorAll('button, input, select, video, [role]')].filter((element) =>
                 !element.textContent.trim() && !element.ariaLabel && !element.labels?.length
                 && !element.getAttribute('aria-labelledby') && element.role !== 'alert' )
                 .map((element) => element.outerHTML)",
        )
        .await;
    assert_eq!(nameless, json!([]));
    assert_eq!(alice.script("return document.documentElement.scrollWidth <= innerWidth").await, true);
    alice.screenshot("phone-idle").await;
    alice.register("alice").await;

    let bob = browser.open(&stunner.url, Look { dark: true, ..Look::PHONE }).await;
    bob.register("bob").await;
    alice.call("bob").await;
    bob.await_ring().await;
    bob.screenshot("phone-ringing-dark").await;
    bob.click("accept").await;
    bob.watch(30).await;
    assert_eq!(bob.script("return document.documentElement.scrollWidth <= innerWidth").await, true);
    bob.screenshot("phone-call-dark").await;
    alice.screenshot("phone-call").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w20_the_keyboard_is_enough() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, bob) =
        (browser.open(&stunner.url, Look::DESKTOP).await, browser.open(&stunner.url, Look::DARK).await);
    bob.register("bob").await;
    alice.until("the page is connected", |state| state.line == "up").await;
    alice.press("name", "alice\u{e007}").await;
    alice.until("registered", |state| state.register == "REGISTERED").await;
    alice.press("peer", "bob\u{e007}").await;
    bob.await_ring().await;
    assert_eq!(bob.script("return document.activeElement.id").await, "accept");
    bob.press("accept", "\u{e007}").await;
    bob.watch(1).await;
    alice.watch(1).await;

    let place = "return [videoSmall.offsetLeft, videoSmall.offsetTop]";
    let before = alice.script(place).await;
    alice.press("videoSmall", "\u{e012}\u{e015}").await;
    let after = alice.script(place).await;
    assert!(
        after[0].as_f64() < before[0].as_f64() && after[1].as_f64() > before[1].as_f64(),
        "{before} {after}"
    );
}
