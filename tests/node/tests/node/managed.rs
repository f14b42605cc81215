//! The chart as it is installed without a profile: the operator runs a dataplane for every Gateway.

use e2e::{Browser, Look, Window};
use node::{Node, with_a_node};

use crate::scene::{Scene, TUTORIAL, relay_addresses, uris, wait};

/// As in docs/install.md. Pods share two processors with two browsers, so less is set aside for each.
const INSTALL: &str = "helm install stunner deploy/helm/stunner --namespace stunner-system --create-namespace \
                       --set stunnerGatewayOperator.dataplane.spec.resources.requests.cpu=50m \
                       --set stunnerGatewayOperator.deployment.container.manager.resources.requests.cpu=50m";

const OPERATOR: &str = "stunner-gateway-operator-controller-manager";

#[test]
fn t01_to_t25_the_tutorial() {
    if kit::need("chromium").is_none() {
        return;
    }
    with_a_node(|node| {
        t01_install(node);
        let scene = Scene::set(node, &format!("{TUTORIAL}/direct-one2one-call-stunner.yaml"));
        let addresses = t10_t11_three_blocks(node);
        t12_what_stunnerctl_says(node, &addresses);
        images_run_as_nobody_with_a_read_only_root(node);
        d1_where_to_look(node);
        wait(async {
            let browser = Browser::start().expect("the part was there a moment ago");
            t14_to_t16_registering(&scene, &browser, &addresses).await;
            t17_to_t22_a_call(&scene, &browser).await;
        });
        t25_clean_up(node);
    });
}

/// T1: the authentication service has the name that applications know it by.
fn t01_install(node: &Node<'_>) {
    node.run("kubectl create namespace stunner");
    node.run(INSTALL);
    node.await_pods("stunner-system", &format!("control-plane={OPERATOR}"), 1);
    let port = "kubectl get service -n stunner-system stunner-auth -o jsonpath='{.spec.ports[0].port}'";
    assert_eq!(node.run(port), "8088");
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

/// T12: the tutorial's command finds the configuration of both gateways, whichever way it is stored.
fn t12_what_stunnerctl_says(node: &Node<'_>, [udp, tcp]: &[String; 2]) {
    let said = node.run(&running_config(node));
    let expected = format!(
        "STUN/TURN authentication type:\tstatic\nSTUN/TURN username:\t\tuser-1\nSTUN/TURN password:\t\tpass-1\n\
         Listener 1\n\tName:\tudp-listener\n\tListener:\tudp-listener\n\tProtocol:\tUDP\n\
         \tPublic address:\t{udp}\n\tPublic port:\t3478\n\
         Listener 2\n\tName:\ttcp-listener\n\tListener:\ttcp-listener\n\tProtocol:\tTCP\n\
         \tPublic address:\t{tcp}\n\tPublic port:\t3478\n"
    );
    assert_eq!(said, expected);
}

fn running_config(node: &Node<'_>) -> String {
    let service =
        "kubectl get service -n stunner-system stunner-config-discovery -o jsonpath='{.spec.clusterIP}'";
    let address = node.run(service);
    node.stunnerctl(&format!("running-config stunner/stunnerd-config --cds-server-address={address}:13478"))
}

/// Not only by their manifests: what the kernel says of every process of ours on the node.
fn images_run_as_nobody_with_a_read_only_root(node: &Node<'_>) {
    let ours = node.containers("localhost/stunner/");
    let mut names: Vec<&str> = ours.iter().map(|one| one.image.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let expected = ["one2one", "stunner-auth", "stunner-operator", "stunnerd"]
        .map(|name| format!("localhost/stunner/{name}:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(names, expected);
    for one in &ours {
        assert_eq!((one.user, one.capabilities), (65532, 0), "{}", one.image);
        assert!(one.root_is_read_only, "{}", one.image);
    }
}

/// D1: a ready pod serves the page, and says where.
fn d1_where_to_look(node: &Node<'_>) {
    let log = node.run("kubectl logs -n stunner -l app=webrtc-server");
    assert!(log.contains("8443"), "{log}");
    let services = node.run("kubectl get service -n stunner webrtc-server");
    assert!(services.contains("8443"), "{services}");
}

/// T14 to T16, D5: two URIs, with what stunnerctl printed; a name is taken once.
async fn t14_to_t16_registering(scene: &Scene<'_, '_>, browser: &Browser, [udp, tcp]: &[String; 2]) {
    let (alice, bob) = scene.two(browser, ["", ""]).await;
    let configuration = alice.console().await.ice_configuration();
    assert_eq!(configuration["iceTransportPolicy"], "relay");
    let mut offered = uris(&configuration);
    offered.sort();
    let mut expected = [format!("turn:{udp}:3478?transport=udp"), format!("turn:{tcp}:3478?transport=tcp")];
    expected.sort();
    assert_eq!(offered, expected);
    for server in configuration["iceServers"].as_array().into_iter().flatten() {
        assert_eq!((&server["username"], &server["credential"]), (&"user-1".into(), &"pass-1".into()));
    }
    bob.close().await;
    let carol = browser.open(&scene.url, Look::DESKTOP).await;
    carol.ask_to_register("alice").await;
    carol
        .until("the name is refused", |state| {
            state.register == "NOT_REGISTERED" && !state.headline.is_empty()
        })
        .await;
    carol.register("carol").await;
    alice.close().await;
    carol.close().await;
}

/// T17 to T22: from one gateway to the other, which are pods of their own.
async fn t17_to_t22_a_call(scene: &Scene<'_, '_>, browser: &Browser) {
    let (alice, bob) = scene.talking(browser, ["udp", "tcp"]).await;
    t18_t19_candidates(scene, &alice, &bob, "udp").await;
    t18_t19_candidates(scene, &bob, &alice, "tcp").await;
    assert!(scene.allocations() >= 2, "one for each side at least");
    alice.click("terminate").await;
    alice.await_end().await;
    assert_eq!(bob.await_end().await.outcome, "peer-stopped");
    scene.await_no_allocation();
    tokio::join!(alice.close(), bob.close());
}

/// T18, T19: candidates are relays at the address of the pod that took the allocation, and arrive unchanged.
async fn t18_t19_candidates(scene: &Scene<'_, '_>, from: &Window, to: &Window, transport: &str) {
    let selector = format!("stunner.l7mp.io/related-gateway-name={transport}-gateway");
    let pods = scene.pod_addresses(&selector);
    let addresses = relay_addresses(from).await;
    assert!(!addresses.is_empty());
    for address in addresses {
        assert!(pods.contains(&address), "{address} is not among {pods:?}");
    }
    let candidates = |messages: Vec<serde_json::Value>| -> Vec<serde_json::Value> {
        messages.iter().map(|message| message["candidate"].clone()).collect()
    };
    let sent = candidates(from.console().await.sent("onIceCandidate"));
    assert_eq!(sent, candidates(to.console().await.received("iceCandidate")));
}

/// T25: both files remove what they made, the operator what it made of them.
fn t25_clean_up(node: &Node<'_>) {
    node.run(&format!("kubectl delete -f {TUTORIAL}/direct-one2one-call-server.yaml"));
    node.run(&format!("kubectl delete -f {TUTORIAL}/direct-one2one-call-stunner.yaml"));
    let what = "kubectl get deployments,services,pods,gateways,udproutes -n stunner -o name";
    node.await_answer(what, "nothing", |answer| answer.success && answer.output.is_empty());
    let address =
        node.run("kubectl get service -n stunner-system stunner-auth -o jsonpath='{.spec.clusterIP}'");
    let ask = format!(
        "curl --silent --output /dev/null --write-out '%{{http_code}}' 'http://{address}:8088/ice?service=turn'"
    );
    node.await_answer(&ask, "no configuration", |answer| answer.output == "500");
}
