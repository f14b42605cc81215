//! The profiles with one dataplane that reads a ConfigMap: that of today, and that for tutorials of release 0.15.

use std::net::SocketAddr;

use e2e::Browser;
use node::{Node, with_a_node};

use crate::{
    managed::listing,
    pair::{Pair, candidates},
    scene::{OPERATOR, SMALL, Scene, TUTORIAL, Transport, uris, wait},
};

#[test]
fn t06_t09_t10_t12_t18_the_tutorial_as_it_was_published() {
    if ["chromium", "firefox"].map(kit::need).iter().any(Option::is_none) {
        return;
    }
    with_a_node(|node| {
        todays_files(node);
        the_published_files(node);
    });
}

/// One Deployment for the Gateways of today's files.
fn todays_files(node: &Node<'_>) {
    node.step("legacy: installing");
    install(node, "stunner", "legacy");
    let manifest = format!("{TUTORIAL}/direct-one2one-call-stunner.yaml");
    let scene = Scene::set(node, &manifest);
    let gateways = ["udp-gateway", "tcp-gateway"].map(|name| scene.gateway(name));
    t12_the_listing(node, &gateways);
    await_served(&scene, &gateways);
    wait(async {
        node.step("legacy: a call");
        let chromium = Browser::start().expect("the part was there a moment ago");
        let pair = Pair::open(&scene.url, [&chromium; 2]).await;
        pair.talk(["udp", "tcp"]).await;
        pair.hang_up().await;
        scene.await_allocations("all are gone", |count| count == 0);
        pair.close().await;
    });
    node.step("legacy: cleaning up");
    t25_clean_up(node, &manifest);
    node.run("helm uninstall stunner --namespace stunner-system --wait");
    node.run("kubectl delete crds --all");
}

/// The tutorial as it was published: its objects, commands and tables.
fn the_published_files(node: &Node<'_>) {
    node.step("tutorial 0.15: installing");
    install(node, "stunner-gateway-operator", "tutorial-0.15");
    let manifest = format!("{TUTORIAL}/v1alpha2/direct-one2one-call-stunner.yaml");
    let scene = Scene::set(node, &manifest);
    t10_the_table(node);
    t08_t09_the_service_that_clients_are_looped_back_to(node);
    let gateways = ["udp-gateway", "tcp-gateway"].map(|name| scene.gateway(name));
    t12_the_listing(node, &gateways);
    await_served(&scene, &gateways);
    node.step("tutorial 0.15: Firefox to Chromium");
    wait(t13_t18_firefox_to_chromium(&scene, &gateways));
    node.step("tutorial 0.15: cleaning up");
    t25_clean_up(node, &manifest);
    node.run("helm uninstall stunner-gateway-operator --namespace stunner-system --wait");
}

fn install(node: &Node<'_>, release: &str, profile: &str) {
    node.run(&format!(
        "helm install {release} deploy/helm/stunner --namespace stunner-system --create-namespace \
         --values deploy/helm/stunner/profiles/{profile}.yaml {SMALL}"
    ));
    node.await_pods("stunner-system", &format!("control-plane={OPERATOR}"), 1);
}

/// T8: the Service selects the dataplane. T9: the command that makes it by hand works when it is not there.
fn t08_t09_the_service_that_clients_are_looped_back_to(node: &Node<'_>) {
    let expose = "kubectl expose deployment -n stunner stunner --port 3478 --protocol UDP";
    let answer = node.shell(expose);
    assert!(
        !answer.success && answer.errors.contains("already exists"),
        "{}{}",
        answer.output,
        answer.errors
    );
    node.run("kubectl delete service -n stunner stunner");
    node.run(expose);
    let endpoints = "kubectl get endpoints -n stunner stunner -o jsonpath='{.subsets[*].addresses[*].ip}'";
    node.await_answer(endpoints, "the dataplane behind it", |answer| answer.output.starts_with("10.98.0."));
}

/// T10: word for word, but for ages and for the addresses that the load balancer has given in the meantime.
fn t10_the_table(node: &Node<'_>) {
    let line = "kubectl get gatewayconfigs,gateways,udproutes -n stunner";
    let table = node.await_answer(line, "two Gateways with addresses, ready", |answer| {
        answer.output.matches(" True ").count() == 2 && answer.output.matches(" 10.99.0.").count() == 2
    });
    let without_age_and_address = |line: &str| -> Vec<String> {
        let mut words: Vec<&str> =
            line.split_whitespace().filter(|word| !word.starts_with("10.99.0.")).collect();
        words.pop();
        words.into_iter().map(str::to_owned).collect()
    };
    let words: Vec<Vec<String>> = table.lines().map(without_age_and_address).collect();
    let expected: [&[&str]; 9] = [
        &["NAME", "REALM", "AUTH"],
        &["gatewayconfig.stunner.l7mp.io/stunner-gatewayconfig", "stunner.l7mp.io", "plaintext"],
        &[],
        &["NAME", "CLASS", "ADDRESS", "READY"],
        &["gateway.gateway.networking.k8s.io/tcp-gateway", "stunner-gatewayclass", "True"],
        &["gateway.gateway.networking.k8s.io/udp-gateway", "stunner-gatewayclass", "True"],
        &[],
        &["NAME"],
        &["udproute.gateway.networking.k8s.io/stunner-headless"],
    ];
    assert_eq!(words, expected, "{table}");
}

/// T12: word for word, but for the addresses.
fn t12_the_listing(node: &Node<'_>, gateways: &[SocketAddr; 2]) {
    let expected = listing(&gateways.map(|gateway| gateway.ip().to_string()));
    let line = node.stunnerctl("running-config stunner/stunnerd-config");
    node.await_answer(&line, &expected, |answer| answer.output == expected);
}

/// Waits until the kubelet has put the configuration of both listeners, and the way between them, before the dataplane.
fn await_served(scene: &Scene<'_, '_>, [udp, tcp]: &[SocketAddr; 2]) {
    // Neither is ready before there is a Gateway.
    scene.node.await_pods("stunner", "app=stunner", 1);
    scene.node.await_pods("stunner", "app=stunner-auth", 1);
    let peer = format!("{}:9", scene.pod_addresses("app=stunner").concat()).parse().expect("an address");
    scene.await_route(*udp, Transport::Udp, "pass-1", peer, true);
    scene.await_route(*tcp, Transport::Tcp, "pass-1", peer, true);
}

/// T13, T15, T18 between two makes of browser, one on each gateway.
async fn t13_t18_firefox_to_chromium(scene: &Scene<'_, '_>, gateways: &[SocketAddr; 2]) {
    let firefox = Browser::firefox().expect("the part was there a moment ago");
    let chromium = Browser::start().expect("the part was there a moment ago");
    let pair = Pair::open(&scene.url, [&firefox, &chromium]).await;
    let mut offered = uris(&pair.bob.console().await.ice_configuration());
    offered.sort();
    let [udp, tcp] = gateways;
    let mut expected = [format!("turn:{udp}?transport=udp"), format!("turn:{tcp}?transport=tcp")];
    expected.sort();
    assert_eq!(offered, expected);
    pair.talk(["udp", "tcp"]).await;
    // Firefox repeats the relayed address as raddr.
    let pod = scene.pod_addresses("app=stunner").concat();
    for line in candidates(&pair.alice, &pair.bob).await {
        assert!(line.is_empty() || line.contains(&format!(" typ relay raddr {pod} ")), "{line}");
    }
    pair.hang_up().await;
    scene.await_allocations("all are gone", |count| count == 0);
    pair.close().await;
}

/// T25: the operator takes away what it has made; the dataplane is the chart's.
fn t25_clean_up(node: &Node<'_>, manifest: &str) {
    node.run(&format!("kubectl delete -f {TUTORIAL}/direct-one2one-call-server.yaml -f {manifest}"));
    let what = "kubectl get services,gateways,udproutes,configmaps -n stunner -l stunner.l7mp.io/owned-by=stunner -o name";
    node.await_answer(what, "nothing", |answer| answer.success && answer.output.is_empty());
}
