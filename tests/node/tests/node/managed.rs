//! The chart as it is installed without a profile: the operator runs a dataplane for every Gateway.

use std::net::SocketAddr;

use e2e::{Browser, Look, State};
use kit::Part;
use node::{Node, with_a_node};

use crate::{
    capture::{Capture, Recording},
    changes::{self, Certificates},
    icetest, janus,
    pair::{Pair, candidates},
    scene::{OPERATOR, SMALL, Scene, TUTORIAL, Transport, cluster_address, confined, image, uris, wait},
};

/// As in docs/install.md.
const INSTALL: &str =
    "helm install stunner deploy/helm/stunner --namespace stunner-system --create-namespace";

/// The tutorial's Deployment, as its page prints it.
const AS_PUBLISHED: &str = include_str!("../../files/as-published.yaml");

#[test]
fn t01_to_t25_and_d1_to_d7_the_tutorial_and_changes_under_calls() {
    let parts = ["chromium", "tshark", "openssl"].map(kit::need);
    let [Some(_), Some(tshark), Some(_)] = parts else { return };
    let janus = kit::need("janus");
    with_a_node(|node| {
        story(node, &tshark);
        node.step("icetest");
        icetest::passes_and_leaves_nothing(node);
        if janus.is_some() {
            node.step("a media server");
            janus::story(node);
        }
    });
}

fn story(node: &Node<'_>, tshark: &Part) {
    node.step("T1: installing");
    t01_install(node);
    let scene = Scene::set(node, &format!("{TUTORIAL}/direct-one2one-call-stunner.yaml"));
    node.step("T4: the Deployment as published");
    t04_the_deployment_as_published(&scene);
    node.step("T8 to T12: the objects");
    let addresses = t10_t11_three_blocks(node);
    t08_a_service_for_all_dataplanes(node);
    t12_what_stunnerctl_says(node, &addresses);
    let certificates = Certificates::make(scene.gateway("tcp-gateway").ip());
    wait(async {
        let chromium = Browser::start().expect("the part was there a moment ago");
        let chromium = chromium.trusting(&certificates.keys());
        node.step("T5: one listener");
        t05_a_filter_leaves_one_uri(&scene, &chromium, &addresses).await;
        back_to_the_file_in_the_repository(node);
        images_run_as_nobody_with_a_read_only_root(node);
        d1_where_to_look(node);
        node.step("T14, T15: registering");
        let pair = Pair::open(&scene.url, [&chromium; 2]).await;
        t14_t15_d5_registering(&pair, &addresses).await;
        node.step("T17 to T22: calls");
        for transports in [["udp", "udp"], ["tcp", "tcp"]] {
            t17_to_t22_a_call(&scene, &pair, transports).await;
        }
        let capture = Capture::start(tshark);
        t17_to_t22_a_call(&scene, &pair, ["udp", "tcp"]).await;
        d6_what_is_on_the_port_is_plain_turn(&capture.stop(), tshark);
        node.step("T16, T23, T24: endings");
        let pair = t16_t23_t24_endings(&scene, &chromium, pair).await;
        node.step("changes under calls");
        changes::under_calls(&scene, &pair, &certificates).await;
        node.step("D2, D4, D7: what is missing");
        d2_d4_d7_what_is_missing(&scene, &chromium, &pair).await;
        node.step("D3: without UDP");
        d3_without_the_udp_gateway(&scene, &pair).await;
        pair.close().await;
    });
    node.step("T25: cleaning up");
    t25_clean_up(node);
}

/// T1: the authentication service has the name that applications know it by.
fn t01_install(node: &Node<'_>) {
    node.run("kubectl create namespace stunner");
    node.run(&format!("{INSTALL} {SMALL}"));
    node.await_pods("stunner-system", &format!("control-plane={OPERATOR}"), 1);
    node.await_pods("stunner-system", "app=stunner-auth", 1);
    let port = "kubectl get service -n stunner-system stunner-auth -o jsonpath='{.spec.ports[0].port}'";
    assert_eq!(node.run(port), "8088");
}

/// T4: what the tutorial's text shows starts and serves, with another image and nothing else.
fn t04_the_deployment_as_published(scene: &Scene<'_, '_>) {
    scene.node.apply("as-published.yaml", &AS_PUBLISHED.replace("VERSION", env!("CARGO_PKG_VERSION")));
    await_the_application(scene.node);
    let page = format!("curl --silent --insecure --max-time 10 {}", scene.url);
    scene.node.await_answer(&page, "the page", |answer| answer.output.contains("<html"));
}

/// T5: with the three variables browsers are offered one listener.
async fn t05_a_filter_leaves_one_uri(scene: &Scene<'_, '_>, browser: &Browser, [udp, _]: &[String; 2]) {
    let window = browser.open(&scene.url, Look::DESKTOP).await;
    window.register("alice").await;
    let offered = uris(&window.console().await.ice_configuration());
    assert_eq!(offered, [format!("turn:{udp}:3478?transport=udp")]);
    window.close().await;
}

fn back_to_the_file_in_the_repository(node: &Node<'_>) {
    node.run(&format!("kubectl apply -f {TUTORIAL}/direct-one2one-call-server.yaml"));
    await_the_application(node);
}

/// Waits until all pods of the application are of its latest shape.
fn await_the_application(node: &Node<'_>) {
    node.run("kubectl rollout status -n stunner deployment/webrtc-server --timeout=600s");
    node.await_pods("stunner", "app=webrtc-server", 1);
}

/// T10, T11: the three blocks, in the tutorial's order. Returns the addresses of the UDP and the TCP gateway.
fn t10_t11_three_blocks(node: &Node<'_>) -> [String; 2] {
    let line = "kubectl get gatewayconfigs,gateways,udproutes -n stunner";
    let table = node.await_answer(line, "two Gateways with addresses, programmed", |answer| {
        answer.output.matches(" True ").count() == 2 && answer.output.matches(" 10.99.0.").count() == 2
    });
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |name: &str| {
        let found = rows.iter().find(|row| row.first().is_some_and(|first| first.ends_with(name)));
        found.unwrap_or_else(|| panic!("no {name} in\n{table}")).clone()
    };
    assert!(row("/stunner-gatewayconfig").contains(&"stunner.l7mp.io"), "{table}");
    assert!(row("/stunner-headless")[0].starts_with("udproute.stunner.l7mp.io/"), "{table}");
    let [tcp, udp] = ["tcp-gateway", "udp-gateway"].map(|name| table.find(name));
    assert!(tcp < udp, "{table}");
    node.await_pods("stunner", "app=stunner", 2);
    ["/udp-gateway", "/tcp-gateway"].map(|name| {
        let row = row(name);
        assert_eq!((row[1], row[3]), ("stunner-gatewayclass", "True"), "{table}");
        row[2].to_owned()
    })
}

/// T8: dataplane pods carry a label of their own, by which one Service can lead to all of them.
fn t08_a_service_for_all_dataplanes(node: &Node<'_>) {
    node.run(
        "kubectl expose deployment -n stunner udp-gateway --name=stunner --selector=app=stunner \
         --port=3478 --protocol=UDP",
    );
    let line = "kubectl get endpoints -n stunner stunner -o jsonpath='{.subsets[*].addresses[*].ip}'";
    node.await_answer(line, "both dataplanes behind it", |answer| {
        answer.output.split_whitespace().count() == 2
    });
    node.run("kubectl delete service -n stunner stunner");
}

/// T12: the tutorial's command finds the configuration of both gateways, whichever way it is stored.
fn t12_what_stunnerctl_says(node: &Node<'_>, addresses: &[String; 2]) {
    let said = node.run(&node.stunnerctl("running-config stunner/stunnerd-config"));
    assert_eq!(said, listing(addresses));
}

/// What the tutorial prints, but for the addresses.
pub(crate) fn listing([udp, tcp]: &[String; 2]) -> String {
    format!(
        "STUN/TURN authentication type:\tstatic\nSTUN/TURN username:\t\tuser-1\nSTUN/TURN password:\t\tpass-1\n\
         Listener 1\n\tName:\tudp-listener\n\tListener:\tudp-listener\n\tProtocol:\tUDP\n\
         \tPublic address:\t{udp}\n\tPublic port:\t3478\n\
         Listener 2\n\tName:\ttcp-listener\n\tListener:\ttcp-listener\n\tProtocol:\tTCP\n\
         \tPublic address:\t{tcp}\n\tPublic port:\t3478\n"
    )
}

fn images_run_as_nobody_with_a_read_only_root(node: &Node<'_>) {
    let expected = ["one2one", "stunner-auth", "stunner-operator", "stunnerd"].map(image);
    assert_eq!(confined(node, "localhost/stunner/"), expected);
}

/// D1: a ready pod serves the page, and says where.
fn d1_where_to_look(node: &Node<'_>) {
    let log = node.run("kubectl logs -n stunner -l app=webrtc-server");
    assert!(log.contains("8443"), "{log}");
    let services = node.run("kubectl get service -n stunner webrtc-server");
    assert!(services.contains("8443"), "{services}");
}

/// T14, T15, D5: two URIs, with what stunnerctl printed.
async fn t14_t15_d5_registering(pair: &Pair, [udp, tcp]: &[String; 2]) {
    let console = pair.alice.console().await;
    assert_eq!(
        console.line("Sending message: "),
        Some(r#"Sending message: {"id":"register","name":"alice"}"#)
    );
    let configuration = console.ice_configuration();
    assert_eq!(configuration["iceTransportPolicy"], "relay");
    let mut offered = uris(&configuration);
    offered.sort();
    let mut expected = [format!("turn:{udp}:3478?transport=udp"), format!("turn:{tcp}:3478?transport=tcp")];
    expected.sort();
    assert_eq!(offered, expected);
    for server in configuration["iceServers"].as_array().into_iter().flatten() {
        assert_eq!((&server["username"], &server["credential"]), (&"user-1".into(), &"pass-1".into()));
    }
}

/// T17 to T22: over one transport, or from one to the other, which is from pod to pod.
async fn t17_to_t22_a_call(scene: &Scene<'_, '_>, pair: &Pair, transports: [&str; 2]) {
    let states = pair.talk(transports).await;
    t18_t19_candidates(scene, pair, transports).await;
    addresses_match(&states);
    scene.await_allocations("one for each side at least", |count| count >= 2);
    if transports[0] != transports[1] {
        t20_counted_by_stunnerctl(scene.node);
    }
    pair.hang_up().await;
    scene.await_allocations("all are gone", |count| count == 0);
}

/// T18, T19: candidates are relays at the address of the pod that took the allocation, and arrive unchanged.
async fn t18_t19_candidates(scene: &Scene<'_, '_>, pair: &Pair, transports: [&str; 2]) {
    let [alice, bob] = pair.windows();
    for (from, to, transport) in [(alice, bob, transports[0]), (bob, alice, transports[1])] {
        let pods = scene.pod_addresses(&format!("stunner.l7mp.io/related-gateway-name={transport}-gateway"));
        for line in candidates(from, to).await {
            let address = line.split(' ').nth(4).unwrap_or_default();
            assert!(line.contains(" typ relay"), "{line}");
            assert!(pods.iter().any(|pod| pod == address), "{line} is not of {pods:?}");
        }
    }
}

/// What one window calls its own relay is the other one's peer.
fn addresses_match([alice, bob]: &[State; 2]) {
    assert_eq!((&alice.relay_address, &bob.relay_address), (&bob.peer_address, &alice.peer_address));
}

/// T20: the tool counts the same, through the API server and the kubelet.
fn t20_counted_by_stunnerctl(node: &Node<'_>) {
    let line = node.stunnerctl("status -n stunner -o json");
    node.await_answer(&line, "allocations of both gateways", |answer| {
        answer.success && answer.output.contains("allocationCount")
    });
}

/// D6: an analyser that nobody here wrote understands every datagram to the port, and finds the answers to both
/// clients' requests for a relay.
fn d6_what_is_on_the_port_is_plain_turn(recording: &Recording, tshark: &Part) {
    for transport in ["udp", "tcp"] {
        let allocated = recording.lines(tshark, &format!("{transport} && stun.type == 0x0103"));
        assert!(!allocated.is_empty(), "no allocation over {transport}");
    }
    // Datagrams that the gateway sends in a train are one packet here.
    assert_eq!(recording.lines(tshark, "udp.dstport == 3478 && !stun"), Vec::<String>::new());
}

/// T16, T23, T24: a window that is closed in mid-call, a name that is taken, one that nobody has, a call that is
/// declined.
async fn t16_t23_t24_endings(scene: &Scene<'_, '_>, browser: &Browser, pair: Pair) -> Pair {
    pair.talk(["udp", "tcp"]).await;
    let Pair { alice, bob } = pair;
    bob.close().await;
    assert_eq!(alice.await_end().await.outcome, "peer-stopped");
    let bob = browser.open(&scene.url, Look::DESKTOP).await;
    bob.ask_to_register("alice").await;
    let refused = bob.until("the name is refused", |state| state.headline == "Not registered").await;
    assert_eq!(refused.detail, "User alice is already registered.");
    bob.register("bob").await;
    alice.ask_to_call("zed").await;
    alice.await_line("User zed is not registered").await;
    alice.await_end().await;
    alice.call("bob").await;
    bob.await_ring().await;
    bob.click("decline").await;
    alice.await_line("user declined").await;
    tokio::join!(alice.await_end(), bob.await_end());
    Pair { alice, bob }
}

/// D4: without a route ICE fails, and the log names whom nobody may reach. D7: nobody registers while no credentials
/// are handed out, and everybody can later. D2: credentials of yesterday bring no relay candidate, and a line in the
/// log.
async fn d2_d4_d7_what_is_missing(scene: &Scene<'_, '_>, browser: &Browser, pair: &Pair) {
    let node = scene.node;
    let [udp, tcp] = ["udp-gateway", "tcp-gateway"].map(|name| scene.gateway(name));
    let pod: SocketAddr = format!("{}:9", scene.pod_addresses("app=stunner")[0]).parse().expect("an address");

    node.run("kubectl delete -n stunner udproutes.stunner.l7mp.io stunner-headless");
    scene.await_route(udp, Transport::Udp, "pass-1", pod, false);
    scene.await_route(tcp, Transport::Tcp, "pass-1", pod, false);
    pair.alice.call("bob").await;
    pair.bob.accept().await;
    pair.alice.await_line("Connection: connecting").await;

    node.run("kubectl scale -n stunner-system deployment/stunner-auth --replicas=0");
    node.await_pods("stunner-system", "app=stunner-auth", 0);
    let dora = browser.open(&scene.url, Look::DESKTOP).await;
    dora.ask_to_register("dora").await;
    let refused = dora.until("a refusal", |state| state.headline == "Not registered").await;
    assert!(
        refused.detail.starts_with("HTTP error when querying the STUNner auth service"),
        "{}",
        refused.detail
    );

    let (alice, bob) = tokio::join!(pair.alice.await_end(), pair.bob.await_end());
    for state in [alice, bob] {
        assert_eq!((state.outcome.as_str(), state.headline.as_str()), ("ice-failed", "ICE failed"));
    }
    await_log(node, "a refusal that names the peer", |line| {
        line.contains("permission denied: peer 10.98.0.") && line.contains("client 10.")
    });

    change_password(node, "pass-2");
    scene.await_password(udp, Transport::Udp, "pass-2");
    scene.await_password(tcp, Transport::Tcp, "pass-2");
    pair.alice.ask_to_call("bob").await;
    let state = pair.alice.await_end().await;
    assert_eq!(
        (state.outcome.as_str(), state.headline.as_str()),
        ("no-relay-candidate", "No relay candidate found")
    );
    assert!(state.detail.contains("did not accept the credentials (401"), "{}", state.detail);
    pair.bob.await_end().await;
    await_log(node, "a refusal that names the client", |line| {
        line.contains("unauthorized, permission denied") && line.contains("client 10.")
    });

    node.run("kubectl scale -n stunner-system deployment/stunner-auth --replicas=1");
    // A pod is ready a moment before the Service leads to it.
    await_authentication_service(node, "200");
    dora.register("dora").await;
    dora.close().await;
}

/// Waits for a line in the logs of the dataplanes.
fn await_log(node: &Node<'_>, what: &str, is_it: impl Fn(&str) -> bool) {
    node.await_answer("kubectl logs -n stunner -l app=stunner --tail=-1", what, |answer| {
        answer.output.lines().any(&is_it)
    });
}

pub(crate) fn change_password(node: &Node<'_>, password: &str) {
    let patch = format!(r#"{{"spec":{{"password":"{password}"}}}}"#);
    node.run(&format!(
        "kubectl patch gatewayconfig -n stunner stunner-gatewayconfig --type=merge --patch='{patch}'"
    ));
}

/// D3: whoever registers without the UDP gateway is offered TCP, and that works.
async fn d3_without_the_udp_gateway(scene: &Scene<'_, '_>, pair: &Pair) {
    let node = scene.node;
    node.run(&format!("kubectl apply -f {TUTORIAL}/direct-one2one-call-stunner.yaml"));
    node.run("kubectl delete -n stunner gateway udp-gateway");
    node.await_answer("kubectl get service -n stunner udp-gateway", "its Service is gone", |answer| {
        answer.errors.contains("NotFound")
    });
    let tcp = scene.gateway("tcp-gateway");
    let pods = scene.pod_addresses("stunner.l7mp.io/related-gateway-name=tcp-gateway");
    let pod: SocketAddr = format!("{}:9", pods[0]).parse().expect("an address");
    scene.await_route(tcp, Transport::Tcp, "pass-1", pod, true);
    for (window, name) in pair.windows().into_iter().zip(["alice", "bob"]) {
        window.go(&scene.url).await;
        window.register(name).await;
        let offered = uris(&window.console().await.ice_configuration());
        assert_eq!(offered, [format!("turn:{tcp}?transport=tcp")]);
    }
    for state in pair.talk(["", ""]).await {
        assert_eq!(state.transport, "tcp");
    }
    pair.hang_up().await;
    scene.await_allocations("all are gone", |count| count == 0);
}

/// T25: both files remove what they made, the operator what it made of them.
fn t25_clean_up(node: &Node<'_>) {
    node.run(&format!("kubectl delete -f {TUTORIAL}/direct-one2one-call-server.yaml"));
    // The UDP gateway is gone already.
    node.run(&format!("kubectl delete --ignore-not-found -f {TUTORIAL}/direct-one2one-call-stunner.yaml"));
    let what = "kubectl get deployments,services,pods,gateways,udproutes -n stunner -o name";
    node.await_answer(what, "nothing", |answer| answer.success && answer.output.is_empty());
    // There is no configuration.
    await_authentication_service(node, "500");
}

/// Waits until whoever asks the Service for credentials is answered with this status.
fn await_authentication_service(node: &Node<'_>, status: &str) {
    let address = cluster_address(node, "stunner-system", "stunner-auth");
    let ask = format!(
        "curl --silent --max-time 10 --output /dev/null --write-out '%{{http_code}}' 'http://{address}:8088/ice?service=turn'"
    );
    node.await_answer(&ask, status, |answer| answer.output == status);
}
