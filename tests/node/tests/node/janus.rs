//! A media server in the cluster, as in docs/examples/media-server: it has no public address, and one way in.

use e2e::{Browser, EchoPage};
use kit::{Deadline, Process};
use node::Node;

use crate::{
    pair::FRAMES,
    scene::{cluster_address, confined, wait},
};

const EXAMPLE: &str = "docs/examples/media-server";

/// The image that the example names, of what Debian has installed here.
const IMAGE: &str = "localhost/stunner/janus:1.1.2";

/// Video goes through the gateway to the media server, and back.
pub(crate) fn story(node: &Node<'_>) {
    let folder = kit::temp_dir();
    let mut script = std::process::Command::new("sh");
    script.arg(kit::workspace().join(EXAMPLE).join("from-installed.sh")).arg(folder.path());
    Process::run(script, Deadline::after(node::PATIENCE));
    node.add_image(IMAGE, folder.path());
    node.run(&format!("kubectl apply -f {EXAMPLE}/media-server.yaml"));
    let pod = node.await_pods("media", "app=janus", 1)[0]["status"]["podIP"].clone();
    let pod = pod.as_str().expect("a ready pod has an address");
    node.await_pods("media", "stunner.l7mp.io/related-gateway-name=edge", 1);
    let ice = credentials(node);
    let janus = format!("http://{}:8088/janus", cluster_address(node, "media", "janus"));
    wait(async {
        let browser = Browser::start().expect("the part was there a moment ago");
        let page = EchoPage::start().await;
        let window = page.open(&browser).await;
        window.call(&janus, &ice).await;
        let echo = window.watch(FRAMES).await;
        assert_eq!(echo.local_kind, "relay", "{echo:?}");
        let (address, port) = echo.peer_address.rsplit_once(':').expect("address and port");
        let port: u16 = port.parse().expect("a port");
        // What the route admits, and nothing but the pod itself.
        assert!(address == pod && (20000..=20999).contains(&port), "{echo:?}, pod {pod}");
        window.stop().await;
        window.close().await;
    });
    assert_eq!(confined(node, IMAGE), [IMAGE]);
    // Nobody waits for it: a dataplane drains for as long as clients that vanished without a goodbye may come back.
    node.run(&format!("kubectl delete --wait=false -f {EXAMPLE}/media-server.yaml"));
}

/// What the application asks for on behalf of Alice, once the gateway has its address.
fn credentials(node: &Node<'_>) -> serde_json::Value {
    let auth = cluster_address(node, "stunner-system", "stunner-auth");
    let query = "service=turn&namespace=media&gateway=edge&username=alice&iceTransportPolicy=relay";
    let line = format!("curl --silent --max-time 10 'http://{auth}:8088/ice?{query}'");
    let answer = node.await_answer(&line, "an ICE configuration with the gateway's address", |answer| {
        answer.output.contains("turn:10.99.0.")
    });
    serde_json::from_str(&answer).expect("JSON")
}
