//! The tutorial's own manifests, on the release of the Gateway API that each was written for.

use cluster::{Api, GatewayApi, Operator, Options, Server};
use serde_json::{Value, json};

use crate::fixture::condition;

/// What a cluster's own controllers make of a Service.
const SLICE: &str = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {name: NAME-1, \
                     namespace: stunner, labels: {kubernetes.io/service-name: NAME}}, endpoints: [{addresses: [10.0.0.9]}]}";

/// What follows from the manifests, whichever generation they are of.
fn check(api: &Api, operator: &Operator, version: &str) {
    let at = |kind: &str, name: &str| format!("gateway.networking.k8s.io/{version}/{kind} stunner/{name}");
    for (gateway, protocol) in [("udp-gateway", "TURN-UDP"), ("tcp-gateway", "TURN-TCP")] {
        let config = operator.discovery().await_config(
            &format!("stunner/{gateway}"),
            "a listener with its route",
            |config| config["listeners"][0]["routes"] == json!(["stunner/stunner-headless"]),
        );
        assert_eq!(config["listeners"][0]["protocol"], protocol);
        assert_eq!(config["listeners"][0]["port"], 3478);
        assert_eq!(config["auth"]["credentials"], json!({"username": "user-1", "password": "pass-1"}));
        let service = format!("v1/Service stunner/{gateway}");
        let created = api.await_object(&service, "there", |_| true);
        assert_eq!(created["spec"]["type"], "LoadBalancer");
        assert_eq!(
            created["metadata"]["ownerReferences"][0]["apiVersion"],
            format!("gateway.networking.k8s.io/{version}")
        );
        api.patch_status(&service, &json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}));
        let object = api.await_object(&at("Gateway", gateway), "programmed", |gateway| {
            condition(&gateway["status"]["conditions"], "Programmed").0 == "True"
        });
        assert_eq!(condition(&object["status"]["conditions"], "Accepted").0, "True");
        api.await_object(&format!("apps/v1/Deployment stunner/{gateway}"), "there", |_| true);
    }
}

/// The columns of a table that `kubectl` prints, without those that tell the time.
fn table(text: &str) -> Vec<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut rows: Vec<_> = text.lines().filter(|line| !line.is_empty()).map(words).collect();
    for row in &mut rows {
        row.pop();
    }
    rows
}

fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
}

fn start(gateway_api: GatewayApi, manifests: &str) -> Option<(Server, Api, Operator)> {
    kit::need("kube-apiserver")?;
    let server = Server::start(gateway_api)?;
    let api = server.api();
    api.apply("{apiVersion: v1, kind: Namespace, metadata: {name: stunner}}");
    api.apply("{apiVersion: stunner.l7mp.io/v1, kind: Dataplane, metadata: {name: default}}");
    api.apply_file(&kit::workspace().join("docs/examples/direct-one2one-call").join(manifests));
    let controller = "stunner.l7mp.io/gateway-operator".to_owned();
    let options = Options { controller, ..Options::new("tutorial") };
    let operator = Operator::start(&server, &options);
    Some((server, api, operator))
}

#[test]
fn t06_t07_and_t10_the_current_manifests() {
    let Some((_server, api, operator)) = start(GatewayApi::Current, "direct-one2one-call-stunner.yaml")
    else {
        return;
    };
    check(&api, &operator, "v1");
    for gateway in ["udp-gateway", "tcp-gateway"] {
        api.apply(&SLICE.replace("NAME", gateway));
    }
    let route =
        api.await_object("stunner.l7mp.io/v1/UDPRoute stunner/stunner-headless", "accepted", |route| {
            let parents = &route["status"]["parents"];
            (0..2).all(|at| {
                condition(&parents[at]["conditions"], "Accepted").0 == "True"
                    && condition(&parents[at]["conditions"], "ResolvedRefs").0 == "True"
            })
        });
    assert_eq!(route["status"]["parents"].as_array().map(Vec::len), Some(2));
}

#[test]
fn t06_t07_and_t10_the_first_published_manifests() {
    let started = start(GatewayApi::Old, "v1alpha2/direct-one2one-call-stunner.yaml");
    let Some((server, api, operator)) = started else { return };
    check(&api, &operator, "v1beta1");
    // What that release prints in its READY column.
    for gateway in ["udp-gateway", "tcp-gateway"] {
        let reference = format!("gateway.networking.k8s.io/v1beta1/Gateway stunner/{gateway}");
        api.await_object(&reference, "ready", |gateway: &Value| {
            condition(&gateway["status"]["conditions"], "Ready").0 == "True"
        });
    }
    api.await_object(
        "gateway.networking.k8s.io/v1alpha2/UDPRoute stunner/stunner-headless",
        "accepted",
        |route| condition(&route["status"]["parents"][1]["conditions"], "Accepted").0 == "True",
    );
    if let Some(kubectl) = kit::need("kubectl") {
        let printed = server.kubectl(&kubectl, &["get", "gateways", "-n", "stunner"]);
        let wanted: [&[&str]; 3] = [
            &["NAME", "CLASS", "ADDRESS", "READY"],
            &["tcp-gateway", "stunner-gatewayclass", "192.0.2.7", "True"],
            &["udp-gateway", "stunner-gatewayclass", "192.0.2.7", "True"],
        ];
        assert_eq!(table(&printed), rows(&wanted), "{printed}");
    }
    let config = api.get("stunner.l7mp.io/v1alpha1/GatewayConfig stunner/stunner-gatewayconfig");
    assert_eq!(config["spec"]["authType"], "plaintext");
    assert!(operator.metrics().contains("stunner_gateway_operator_failing_writes 0"));
}

#[test]
fn t06_t07_and_t10_the_first_published_manifests_print_what_its_page_shows() {
    let Some(kubectl) = kit::need("kubectl") else { return };
    let started = start(GatewayApi::Tutorial, "v1alpha2/direct-one2one-call-stunner.yaml");
    let Some((server, api, operator)) = started else { return };
    check(&api, &operator, "v1");
    api.await_object(
        "gateway.networking.k8s.io/v1alpha2/UDPRoute stunner/stunner-headless",
        "accepted",
        |route| {
            (0..2).all(|at| condition(&route["status"]["parents"][at]["conditions"], "Accepted").0 == "True")
        },
    );
    let printed = server.kubectl(&kubectl, &["get", "gatewayconfigs,gateways,udproutes", "-n", "stunner"]);
    let wanted: [&[&str]; 7] = [
        &["NAME", "REALM", "AUTH"],
        &["gatewayconfig.stunner.l7mp.io/stunner-gatewayconfig", "stunner.l7mp.io", "plaintext"],
        &["NAME", "CLASS", "ADDRESS", "READY"],
        &["gateway.gateway.networking.k8s.io/tcp-gateway", "stunner-gatewayclass", "192.0.2.7", "True"],
        &["gateway.gateway.networking.k8s.io/udp-gateway", "stunner-gatewayclass", "192.0.2.7", "True"],
        &["NAME"],
        &["udproute.gateway.networking.k8s.io/stunner-headless"],
    ];
    assert_eq!(table(&printed), rows(&wanted), "{printed}");
}
