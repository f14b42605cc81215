//! What the stories share: the tutorial's pages, what people ask the cluster, and what a TURN client sees of it.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use kit::{Credentials, Deadline, Failure, TurnClient};
use node::{Node, PATIENCE};
use serde_json::Value;

/// The tutorial's files, from the root of the repository.
pub(crate) const TUTORIAL: &str = "docs/examples/direct-one2one-call";

/// The Deployment of the operator, and what its pods are labelled with.
pub(crate) const OPERATOR: &str = "stunner-gateway-operator-controller-manager";

/// Pods share two processors with two browsers, so less is set aside for each.
pub(crate) const SMALL: &str = "--set stunnerGatewayOperator.dataplane.spec.resources.requests.cpu=50m \
                                --set legacyDataplane.resources.requests.cpu=50m \
                                --set stunnerGatewayOperator.deployment.container.manager.resources.requests.cpu=50m";

/// The node's address in its network.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// How long a gateway may take to answer before it is asked anew.
const ANSWER: Duration = Duration::from_secs(5);

/// Type, length, magic cookie and a transaction id.
const BINDING_REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42in the clear";

/// The type of the answer to it.
const BINDING_SUCCESS: [u8; 2] = [1, 1];

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The objects that both manifests of the tutorial make.
pub(crate) struct Scene<'s, 'n> {
    pub(crate) node: &'s Node<'n>,
    /// The page of the call application.
    pub(crate) url: String,
}

impl<'s, 'n> Scene<'s, 'n> {
    /// T2, T3, T6, T7, T11, T13: applies both manifests, in the tutorial's order, and waits for the application.
    pub(crate) fn set(node: &'s Node<'n>, gateways: &str) -> Self {
        let made = node.run(&format!("kubectl apply -f {TUTORIAL}/direct-one2one-call-server.yaml"));
        for object in
            ["secret/webrtc-server-secret", "deployment.apps/webrtc-server", "service/webrtc-server"]
        {
            assert!(made.contains(object), "{object} is not in\n{made}");
        }
        node.run(&format!("kubectl apply -f {gateways}"));
        let line =
            "kubectl get service -n stunner webrtc-server -o jsonpath='{.status.loadBalancer.ingress[0].ip}'";
        let address = node.await_answer(line, "the address of the application", |answer| {
            answer.output.starts_with("10.99.0.")
        });
        node.await_pods("stunner", "app=webrtc-server", 1);
        Self { node, url: format!("https://{address}:8443/") }
    }

    /// The addresses of the pods with these labels that are there to stay.
    pub(crate) fn pod_addresses(&self, selector: &str) -> Vec<String> {
        self.of_pods(selector, "status.podIP")
    }

    /// The names of the pods with these labels.
    pub(crate) fn pod_names(&self, selector: &str) -> Vec<String> {
        self.of_pods(selector, "metadata.name")
    }

    fn of_pods(&self, selector: &str, field: &str) -> Vec<String> {
        let line = format!("kubectl get pods -n stunner -l {selector} -o jsonpath='{{.items[*].{field}}}'");
        self.node.run(&line).split_whitespace().map(str::to_owned).collect()
    }

    /// How many allocations the dataplanes have, by their own account; `None` while one of them is coming or going.
    fn allocations(&self) -> Option<u64> {
        let of = |address: String| {
            let answer =
                self.node.shell(&format!("curl --silent --max-time 10 http://{address}:8086/status"));
            let status: Value = serde_json::from_str(&answer.output).ok()?;
            status["allocationCount"].as_u64()
        };
        self.pod_addresses("app=stunner").into_iter().map(of).sum()
    }

    /// T20, T22: waits until the dataplanes have as many allocations as `holds` says.
    #[track_caller]
    pub(crate) fn await_allocations(&self, what: &str, holds: impl Fn(u64) -> bool) {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let count = self.allocations();
            if count.is_some_and(&holds) {
                return;
            }
            assert!(deadline.left().is_some(), "awaited: {what}; there are {count:?} allocations");
            std::thread::sleep(LOOK);
        }
    }

    /// Where clients reach a gateway: the address in its status.
    pub(crate) fn gateway(&self, name: &str) -> SocketAddr {
        let line = format!(
            "kubectl get gateway -n stunner {name} -o jsonpath='{{.status.addresses[0].value}}:{{.spec.listeners[0].port}}'"
        );
        let answer = self.node.await_answer(&line, "an address", |answer| {
            answer.success && answer.output.parse::<SocketAddr>().is_ok()
        });
        answer.parse().expect("an address and a port")
    }

    /// The only dataplane pod of a gateway, by the label that the operator gives it.
    pub(crate) fn only_pod_of(&self, gateway: &str) -> String {
        let selector = format!("stunner.l7mp.io/related-gateway-name={gateway}");
        let names = self.pod_names(&selector);
        let [name] = &names[..] else { panic!("one pod for one Gateway, not {names:?}") };
        name.clone()
    }

    /// Waits until clients of a gateway are let in with this password.
    pub(crate) fn await_password(&self, gateway: SocketAddr, over: Transport, password: &str) {
        await_answer_of("being let in", || {
            let mut client = over.connect(gateway)?.with(Credentials::fixed("user-1", password));
            client.allocate().and_then(|_| client.refresh(0)).is_ok().then_some(())
        });
    }

    /// Waits until clients of a gateway are, or are not, let to `peer`; the answer is 403 if they are not.
    pub(crate) fn await_route(
        &self,
        gateway: SocketAddr,
        over: Transport,
        password: &str,
        peer: SocketAddr,
        open: bool,
    ) {
        await_answer_of(if open { "a way to a peer" } else { "no way to a peer" }, || {
            let mut client = over.connect(gateway)?.with(Credentials::fixed("user-1", password));
            client.allocate().ok()?;
            let answer = client.create_permission(peer);
            client.refresh(0).ok()?;
            match answer {
                Ok(()) => open.then_some(()),
                Err(Failure::Refused(refusal)) => {
                    assert_eq!(refusal.code, 403, "{refusal:?}");
                    (!open).then_some(())
                }
                Err(_) => None,
            }
        });
    }

    /// The address from which a gateway relays for a new client.
    pub(crate) fn relayed_by(
        &self,
        gateway: SocketAddr,
        over: Transport,
        password: &str,
    ) -> Option<SocketAddr> {
        let mut client = over.connect(gateway)?.with(Credentials::fixed("user-1", password));
        let relayed = client.allocate().ok()?.relayed;
        client.refresh(0).ok()?;
        Some(relayed)
    }
}

/// How a TURN client reaches a gateway.
#[derive(Clone, Copy)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// A client; `None` where nobody takes connections now.
    fn connect(self, gateway: SocketAddr) -> Option<TurnClient> {
        let local = SocketAddr::from((HERE, 0));
        let mut client = match self {
            // The kernel refuses what a Service without pods would get.
            Self::Udp if UdpSocket::bind(local).ok()?.send_to(&[0], gateway).is_err() => return None,
            Self::Udp => TurnClient::udp_from(local, gateway),
            // A listener that is to become plain may speak TLS for a moment longer.
            Self::Tcp if !answers_in_the_clear(gateway).unwrap_or_default() => return None,
            Self::Tcp => TurnClient::over(TcpStream::connect(gateway).ok()?, gateway),
        };
        client.set_patience(ANSWER);
        Some(client)
    }
}

/// Whether a gateway on TCP answers a Binding request with a success.
fn answers_in_the_clear(gateway: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(gateway)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(&BINDING_REQUEST)?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    Ok(answer == BINDING_SUCCESS)
}

/// Where the pods of the cluster reach a Service.
pub(crate) fn cluster_address(node: &Node<'_>, namespace: &str, service: &str) -> String {
    node.run(&format!("kubectl get service -n {namespace} {service} -o jsonpath='{{.spec.clusterIP}}'"))
}

/// The name of one of this repository's images on the node.
pub(crate) fn image(name: &str) -> String {
    format!("localhost/stunner/{name}:{}", env!("CARGO_PKG_VERSION"))
}

/// The images that run now and whose names begin with `prefix`. All their processes are nobody's, without capabilities
/// and with a root that they cannot write to, and not only by their manifests: the kernel says so.
#[track_caller]
pub(crate) fn confined(node: &Node<'_>, prefix: &str) -> Vec<String> {
    let containers = node.containers(prefix);
    for one in &containers {
        assert_eq!((one.user, one.capabilities, one.root_is_read_only), (65532, 0, true), "{one:?}");
    }
    let mut images: Vec<String> = containers.into_iter().map(|one| one.image).collect();
    images.sort_unstable();
    images.dedup();
    images
}

/// Asks until there is an answer.
#[track_caller]
pub(crate) fn await_answer_of<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let deadline = Deadline::after(PATIENCE);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(deadline.left().is_some(), "awaited: {what}");
        std::thread::sleep(LOOK);
    }
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
