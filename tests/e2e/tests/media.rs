//! A media server behind the gateway on one machine, as in docs/examples/media-server: the browser reaches it through
//! the gateway, and only if the route says so.

use e2e::{Browser, EchoPage, Janus, Manifest, Stunner, get};
use kit::host::{in_own_network, run};

/// Enough to be sure that it is a moving picture.
const FRAMES: u64 = 60;

const ICE: &str = "/ice?service=turn&username=alice&iceTransportPolicy=relay";

/// This machine, in the network of this test.
const HERE: &str = "10.7.0.1";

#[tokio::test(flavor = "multi_thread")]
async fn video_comes_back_from_a_media_server_that_the_route_admits() {
    let (Some(netns), Some(_), Some(_)) = (kit::need("netns"), kit::need("chromium"), kit::need("janus"))
    else {
        return;
    };
    if !in_own_network(&netns, "video_comes_back_from_a_media_server_that_the_route_admits") {
        return;
    }
    for line in
        ["link set lo up", "link add lan type veth peer name far", "link set lan up", "link set far up"]
    {
        run(&netns, &format!("ip {line}"));
    }
    run(&netns, &format!("ip addr add {HERE}/24 dev lan"));
    let (Some(browser), Some(janus)) = (Browser::start(), Janus::start()) else { return };
    let manifest = Manifest::read("docs/examples/media-server/standalone.yaml");
    let stunner = Stunner::up(&manifest, HERE);
    let page = EchoPage::start().await;
    let window = page.open(&browser).await;
    let ice = get(stunner.auth_port, ICE).await;

    // The example's route leads to an address of nobody.
    window.call(&janus.url, &ice).await;
    stunner.await_log(&["permission denied", HERE]);
    window.stop().await;

    stunner.edit(&manifest.with("192.0.2.10", HERE));
    window.call(&janus.url, &ice).await;
    let echo = window.watch(FRAMES).await;
    assert_eq!(echo.local_kind, "relay", "{echo:?}");
    assert_eq!(echo.peer_address.split(':').next(), Some(HERE), "{echo:?}");
    assert!(stunner.allocations().await > 0);
    window.screenshot("media-server").await;
    window.stop().await;
}
