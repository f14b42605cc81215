//! What `stunner up` does with the tutorial's manifest, and what it prints about it.

use gateway::{
    Rendered, Settings, Snapshot, Verdict,
    api::{Key, Truth},
    manifest, render,
    standalone::{self, Host},
};

#[test]
fn t10_the_table_of_gateways_and_routes() {
    let (snapshot, rendered) = up(&tutorial());
    let overview = rendered.overview(&snapshot);

    let gateways: Vec<_> =
        overview.gateways.iter().map(|row| (row.gateway.to_string(), row.class.as_str())).collect();
    let class = "stunner-gatewayclass";
    assert_eq!(
        gateways,
        [("stunner/tcp-gateway".to_owned(), class), ("stunner/udp-gateway".to_owned(), class)]
    );
    for row in &overview.gateways {
        assert_eq!(row.address.as_deref(), Some("203.0.113.9"));
        assert!(row.accepted.is_true() && row.programmed.is_true());
        assert_eq!(
            (row.listeners.len(), row.listeners[0].port, row.listeners[0].attached_routes),
            (1, 3478, 1)
        );
    }

    assert_eq!(overview.routes.len(), 1);
    let parents: Vec<_> = overview.routes[0].parents.iter().map(|row| row.parent.as_str()).collect();
    assert_eq!(parents, ["stunner/udp-gateway", "stunner/tcp-gateway"]);
    assert!(
        overview.routes[0].parents.iter().all(|row| row.accepted.is_true() && row.resolved_refs.is_true())
    );
    assert!(rendered.problems.is_empty(), "{:?}", rendered.problems);
}

#[test]
fn d03_without_the_udp_gateway_the_table_says_what_the_route_has_lost() {
    let mut objects = tutorial();
    objects.remove::<gateway::api::Gateway>(&Key::new("stunner", "udp-gateway"));
    let (snapshot, rendered) = up(&objects);
    let overview = rendered.overview(&snapshot);
    assert_eq!(rendered.configs.keys().collect::<Vec<_>>(), ["stunner/tcp-gateway"]);
    let lost = &overview.routes[0].parents[0];
    assert_eq!((lost.accepted.status, lost.accepted.reason.as_str()), (Truth::False, "NoMatchingParent"));
    assert_eq!(
        lost.accepted.to_string(),
        "False (NoMatchingParent: no Gateway stunner/udp-gateway of ours; create it or correct parentRefs)"
    );
}

#[test]
fn a_verdict_is_as_short_as_it_can_be() {
    let verdict = |status, reason: &str, message: &str| {
        Verdict { status, reason: reason.to_owned(), message: message.to_owned() }.to_string()
    };
    assert_eq!(verdict(Truth::True, "Accepted", "whatever"), "True");
    assert_eq!(verdict(Truth::Unknown, "Pending", ""), "Unknown (Pending)");
}

#[test]
fn completing_twice_changes_nothing() {
    let once = complete(&tutorial());
    assert_eq!(complete(&once), once);
}

#[test]
fn a_stale_gateway_gives_up_a_port_that_has_gone_to_another_one() {
    let (_, before) = up(&tutorial());
    let mut now = Rendered::default();
    let (udp, tcp) = (Key::new("stunner", "udp-gateway"), Key::new("stunner", "tcp-gateway"));
    let problem = gateway::Problem {
        object: gateway::api::ObjectRef::to::<gateway::api::Gateway>(udp.clone()),
        field: String::new(),
        finding: gateway::Finding::NoParameters,
    };
    now.stale.insert(udp.clone(), problem.clone());
    now.stale.insert(tcp, problem);
    let mut newcomer = before.configs[&udp.to_string()].clone();
    newcomer.admin.name = "stunner/new".to_owned();
    now.configs.insert(newcomer.admin.name.clone(), newcomer);

    now.keep_last_good(&before, &Settings::one_host());
    let listeners = |name: &str| now.configs[name].listeners.len();
    assert_eq!(
        (listeners("stunner/new"), listeners("stunner/udp-gateway"), listeners("stunner/tcp-gateway")),
        (1, 0, 1)
    );
    assert_eq!(now.services.len(), 2);
}

#[test]
fn routes_of_other_namespaces_attach_by_the_name_of_theirs() {
    let text = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: stunner}
spec:
  gatewayClassName: stunner-gatewayclass
  listeners:
  - name: udp
    port: 3479
    protocol: TURN-UDP
    allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: calls}}}}
---
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata: {name: peers, namespace: calls}
spec: {parentRefs: [{name: edge, namespace: stunner}], rules: [{backendRefs: [{name: edge, namespace: stunner}]}]}
";
    let mut objects = tutorial();
    let more = manifest::parse("more.yaml", text).snapshot;
    objects.gateways.extend(more.gateways);
    objects.udp_routes.extend(more.udp_routes);
    let (_, rendered) = up(&objects);
    assert_eq!(rendered.configs["stunner/edge"].listeners[0].routes, ["calls/peers"]);
}

#[test]
fn ipv6_and_host_names_are_fine_for_a_public_address() {
    for (public, value) in [("2001:db8:0::1", "2001:db8::1"), ("turn.example.org", "turn.example.org")] {
        let host =
            Host { public_address: public.to_owned(), relay_addresses: vec!["2001:db8::2".parse().unwrap()] };
        let settings = Settings::one_host();
        let rendered = render(&standalone::complete(&tutorial(), &settings, &host), &settings);
        let config = &rendered.configs["stunner/udp-gateway"];
        assert_eq!(config.listeners[0].public_address, value);
        assert_eq!(config.clusters[0].endpoints, ["2001:db8::2"]);
    }
}

fn tutorial() -> Snapshot {
    let file = "/../../docs/examples/direct-one2one-call/direct-one2one-call-stunner.yaml";
    manifest::load([format!("{}{file}", env!("CARGO_MANIFEST_DIR"))]).snapshot
}

fn complete(snapshot: &Snapshot) -> Snapshot {
    let host = Host {
        public_address: "203.0.113.9".to_owned(),
        relay_addresses: vec!["192.0.2.4".parse().expect("an address")],
    };
    standalone::complete(snapshot, &Settings::one_host(), &host)
}

fn up(snapshot: &Snapshot) -> (Snapshot, Rendered) {
    let completed = complete(snapshot);
    let rendered = render(&completed, &Settings::one_host());
    (completed, rendered)
}
