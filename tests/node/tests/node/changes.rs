//! What changes while people talk.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use node::Node;
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    managed::change_password,
    pair::Pair,
    scene::{OPERATOR, Scene, TUTORIAL, Transport, await_answer_of},
};

/// A route and its backend that have nothing to do with the call.
const OTHERS: &str = "\
apiVersion: stunner.l7mp.io/v1
kind: StaticService
metadata: { name: others, namespace: stunner }
spec: { prefixes: [192.0.2.0/24] }
---
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata: { name: others, namespace: stunner }
spec:
  parentRefs: [{ name: udp-gateway }]
  rules:
    - backendRefs: [{ group: stunner.l7mp.io, kind: StaticService, name: others }]
";

/// The certificate of a gateway, and what it is renewed by.
pub(crate) struct Certificates([Certificate; 2]);

struct Certificate {
    name: &'static str,
    chain: String,
    key: String,
    /// SHA-256 of the public key, in base64.
    digest: String,
}

impl Certificates {
    /// Two, for a gateway at this address.
    pub(crate) fn make(gateway: IpAddr) -> Self {
        Self(["first", "second"].map(|name| Certificate::make(name, gateway)))
    }

    /// The digests of the public keys, for a browser that is to trust them.
    pub(crate) fn keys(&self) -> String {
        self.0.each_ref().map(|one| one.digest.as_str()).join(",")
    }
}

impl Certificate {
    fn make(name: &'static str, gateway: IpAddr) -> Self {
        let mut params = CertificateParams::new([gateway.to_string()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let digest = BASE64_STANDARD.encode(Sha256::digest(key.subject_public_key_info()));
        Self { name, chain: certificate.pem(), key: key.serialize_pem(), digest }
    }

    /// Puts it into the Secret that the listener names.
    fn install(&self, node: &Node<'_>) {
        let [chain, key] = [&self.chain, &self.key].map(|pem| BASE64_STANDARD.encode(pem));
        let mut secret = String::from(
            "apiVersion: v1\nkind: Secret\nmetadata: { name: certificate, namespace: stunner }\n",
        );
        write!(secret, "type: kubernetes.io/tls\ndata: {{ tls.crt: {chain}, tls.key: {key} }}\n")
            .expect("text");
        node.apply("certificate.yaml", &secret);
    }

    /// Waits until a gateway shows it to new clients.
    fn await_shown(&self, node: &Node<'_>, gateway: SocketAddr) {
        let line = format!(
            "timeout 10 openssl s_client -connect {gateway} </dev/null 2>/dev/null | openssl x509 -noout -subject"
        );
        node.await_answer(&line, "the certificate", |answer| answer.output.contains(self.name));
    }
}

/// A call notices neither that others may go elsewhere, nor a new operator, certificate or password, nor that one of its
/// dataplanes is on its way out; and each change is in force for whoever comes next.
pub(crate) async fn under_calls(scene: &Scene<'_, '_>, pair: &Pair, certificates: &Certificates) {
    let node = scene.node;
    let [udp, tcp] = ["udp-gateway", "tcp-gateway"].map(|name| scene.gateway(name));
    let Certificates([first, second]) = certificates;
    first.install(node);
    node.run(
        r#"kubectl patch gateway -n stunner tcp-gateway --type=merge --patch='{"spec":{"listeners":[{"name":"tcp-listener",
           "port":3478,"protocol":"TURN-TLS","tls":{"certificateRefs":[{"name":"certificate"}]}}]}}'"#,
    );
    first.await_shown(node, tcp);

    let [alice, _] = pair.talk(["udp", "tcp"]).await;
    let bob = pair.bob.state().await;
    assert_eq!((alice.transport.as_str(), bob.transport.as_str()), ("udp", "tls"));
    node.step("under a call: a route of others");
    a_route_of_others(scene, pair, udp).await;
    node.step("under a call: another certificate");
    another_certificate(node, pair, second, tcp).await;
    node.step("under a call: a new operator");
    a_new_operator(node, pair).await;
    node.step("under a call: a dataplane goes");
    let old = a_dataplane_that_goes(scene, pair, udp).await;

    node.step("the next call, and another password");
    // The next call finds everything new, and outlives its password.
    pair.hang_up().await;
    node.await_answer(&format!("kubectl get pod -n stunner {old}"), "the old pod is gone", |answer| {
        answer.errors.contains("NotFound")
    });
    pair.talk(["udp", "tcp"]).await;
    change_password(node, "pass-2");
    scene.await_password(udp, Transport::Udp, "pass-2");
    pair.go_on().await;
    // Back again: with yesterday's password a browser cannot give its relays back, and they are kept for ten minutes.
    change_password(node, "pass-1");
    scene.await_password(udp, Transport::Udp, "pass-1");
    pair.go_on().await;
    pair.hang_up().await;
    scene.await_allocations("all are gone", |count| count == 0);

    node.run(&format!("kubectl apply -f {TUTORIAL}/direct-one2one-call-stunner.yaml"));
    scene.await_password(tcp, Transport::Tcp, "pass-1");
}

/// Comes, goes and comes again.
async fn a_route_of_others(scene: &Scene<'_, '_>, pair: &Pair, udp: SocketAddr) {
    let peer = ([192, 0, 2, 1], 9).into();
    let is_open = |open| scene.await_route(udp, Transport::Udp, "pass-1", peer, open);
    scene.node.apply("others.yaml", OTHERS);
    is_open(true);
    scene.node.run("kubectl delete -n stunner udproutes.stunner.l7mp.io others");
    is_open(false);
    pair.go_on().await;
    scene.node.apply("others.yaml", OTHERS);
    is_open(true);
    pair.go_on().await;
    scene
        .node
        .run("kubectl delete -n stunner udproutes.stunner.l7mp.io,staticservices.stunner.l7mp.io others");
}

async fn another_certificate(node: &Node<'_>, pair: &Pair, second: &Certificate, tls: SocketAddr) {
    second.install(node);
    second.await_shown(node, tls);
    pair.go_on().await;
}

async fn a_new_operator(node: &Node<'_>, pair: &Pair) {
    node.run(&format!("kubectl rollout restart -n stunner-system deployment/{OPERATOR}"));
    node.run(&format!("kubectl rollout status -n stunner-system deployment/{OPERATOR} --timeout=600s"));
    pair.go_on().await;
}

/// Drains the dataplane of the UDP gateway: the call stays with it, others are served by its successor. Returns the name
/// of the pod.
async fn a_dataplane_that_goes(scene: &Scene<'_, '_>, pair: &Pair, udp: SocketAddr) -> String {
    let node = scene.node;
    let old = scene.only_pod_of("udp-gateway");
    let address = scene.pod_addresses("stunner.l7mp.io/related-gateway-name=udp-gateway").concat();
    node.run(&format!("kubectl delete pod -n stunner {old} --wait=false"));
    node.await_answer(&format!("kubectl logs -n stunner {old}"), "draining", |answer| {
        answer.output.contains("draining")
    });
    // Not ready, it would lose its UDP clients: kube-proxy forgets their paths.
    let ready = "curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}'";
    node.await_answer(&format!("{ready} http://{address}:8086/ready"), "ready", |answer| {
        answer.output == "200"
    });
    let slices = "kubectl get endpointslices -n stunner -l kubernetes.io/service-name=udp-gateway -o json";
    node.await_answer(slices, "a successor", |answer| has_successor(&answer.output, &old));
    let successor = await_answer_of("the successor serves", || {
        let relayed = scene.relayed_by(udp, Transport::Udp, "pass-1")?;
        (relayed.ip().to_string() != address).then_some(relayed)
    });
    assert!(scene.pod_addresses("app=stunner").contains(&successor.ip().to_string()), "{successor}");
    pair.go_on().await;
    old
}

/// Whether somebody is ready beside a pod that serves on only for those whom it serves.
fn has_successor(slices: &str, old: &str) -> bool {
    let slices: Value = serde_json::from_str(slices).unwrap_or_default();
    let of = |slice: &Value| slice["endpoints"].as_array().cloned().unwrap_or_default();
    let endpoints: Vec<Value> = slices["items"].as_array().into_iter().flatten().flat_map(of).collect();
    let is = |name: &str, wanted: &dyn Fn(&Value) -> bool| {
        endpoints
            .iter()
            .any(|one| (one["targetRef"]["name"] == old) == (name == "old") && wanted(&one["conditions"]))
    };
    is("old", &|conditions| conditions["terminating"] == true && conditions["serving"] == true)
        && is("new", &|conditions| conditions["ready"] == true)
}
