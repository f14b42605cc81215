//! What the stories share: an installation, the tutorial's pages, and two people in front of browsers.

use e2e::{Browser, Look, Window};
use kit::Deadline;
use node::Node;
use serde_json::Value;

/// The tutorial's files, from the root of the repository.
pub(crate) const TUTORIAL: &str = "docs/examples/direct-one2one-call";

/// Enough to be sure that it is a moving picture.
pub(crate) const FRAMES: u64 = 60;

/// The objects that both manifests of the tutorial make.
pub(crate) struct Scene<'s, 'n> {
    pub(crate) node: &'s Node<'n>,
    /// The page of the call application.
    pub(crate) url: String,
}

impl<'s, 'n> Scene<'s, 'n> {
    /// T1 to T8, T11 and T13: applies both manifests, in the tutorial's order, and waits until everything is there.
    pub(crate) fn set(node: &'s Node<'n>, gateways: &str) -> Self {
        node.run(&format!("kubectl apply -f {TUTORIAL}/direct-one2one-call-server.yaml"));
        node.run(&format!("kubectl apply -f {gateways}"));
        let url = page(node);
        Self { node, url }
    }

    /// Two windows with Alice and Bob, each on gateways over some transport, or any if that is empty.
    pub(crate) async fn two(&self, browser: &Browser, transports: [&str; 2]) -> (Window, Window) {
        let [alice, bob] = transports.map(|transport| format!("{}?transport={transport}", self.url));
        let (alice, bob) =
            tokio::join!(browser.open(&alice, Look::DESKTOP), browser.open(&bob, Look::DESKTOP));
        tokio::join!(alice.register("alice"), bob.register("bob"));
        (alice, bob)
    }

    /// The same in a call, with frames on both sides.
    pub(crate) async fn talking(&self, browser: &Browser, transports: [&str; 2]) -> (Window, Window) {
        let (alice, bob) = self.two(browser, transports).await;
        alice.call("bob").await;
        bob.accept().await;
        for (window, transport) in [&alice, &bob].into_iter().zip(transports) {
            let state = window.watch(FRAMES).await;
            assert_eq!((state.local_kind.as_str(), state.remote_kind.as_str()), ("relay", "relay"));
            assert!(transport.is_empty() || state.transport == transport, "{state:?}");
        }
        (alice, bob)
    }

    /// The addresses of the pods with these labels.
    pub(crate) fn pod_addresses(&self, selector: &str) -> Vec<String> {
        self.of_pods(selector, "status.podIP")
    }

    /// How many allocations the dataplanes have, by their own account.
    pub(crate) fn allocations(&self) -> u64 {
        let of = |address: String| {
            let status = self.node.run(&format!("curl --silent --show-error http://{address}:8086/status"));
            let status: Value = serde_json::from_str(&status).expect("JSON");
            status["allocationCount"].as_u64().unwrap_or_else(|| panic!("no allocation count in {status}"))
        };
        self.pod_addresses("app=stunner").into_iter().map(of).sum()
    }

    /// T22: waits until all allocations are gone.
    pub(crate) fn await_no_allocation(&self) {
        let deadline = Deadline::after(node::PATIENCE);
        while self.allocations() > 0 {
            assert!(deadline.left().is_some(), "{} allocations are left", self.allocations());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    fn of_pods(&self, selector: &str, field: &str) -> Vec<String> {
        let line = format!("kubectl get pods -n stunner -l {selector} -o jsonpath='{{.items[*].{field}}}'");
        self.node.run(&line).split_whitespace().map(str::to_owned).collect()
    }
}

/// T13: the address of the page, as the tutorial finds it out.
fn page(node: &Node<'_>) -> String {
    let line =
        "kubectl get service -n stunner webrtc-server -o jsonpath='{.status.loadBalancer.ingress[0].ip}'";
    let address = node
        .await_answer(line, "the address of the application", |answer| answer.output.starts_with("10.99.0."));
    node.await_pods("stunner", "app=webrtc-server", 1);
    format!("https://{address}:8443/")
}

/// The addresses that the candidates of a window name.
pub(crate) async fn relay_addresses(window: &Window) -> Vec<String> {
    let sent = window.console().await.sent("onIceCandidate");
    let lines = sent.iter().filter_map(|message| message["candidate"]["candidate"].as_str());
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            assert!(line.contains(" typ relay"), "{line}");
            line.split(' ').nth(4).unwrap_or_default().to_owned()
        })
        .collect()
}

/// The URIs of an ICE configuration.
pub(crate) fn uris(configuration: &Value) -> Vec<String> {
    let servers = configuration["iceServers"].as_array().cloned().unwrap_or_default();
    let of = |server: &Value| server["urls"].as_array().cloned().unwrap_or_default();
    servers.iter().flat_map(of).filter_map(|uri| uri.as_str().map(str::to_owned)).collect()
}

/// Runs the part of a story that waits for browsers.
pub(crate) fn wait(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(story);
}
