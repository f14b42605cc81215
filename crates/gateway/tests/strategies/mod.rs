//! Arbitrary objects, with few enough names that references often lead somewhere.
#![allow(dead_code, reason = "every test program uses a part of this")]

use gateway::{
    EndpointDiscovery, Mode, Settings, Snapshot, Stored, Visitor,
    api::{Type, from_value},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

/// A text that must not show up anywhere but in configurations and ConfigMaps.
pub(crate) const SECRET: &str = "hunter2";

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let discovery =
        select(vec![EndpointDiscovery::Slices, EndpointDiscovery::Endpoints, EndpointDiscovery::Dns]);
    (any::<[bool; 6]>(), discovery).prop_map(
        |([legacy, one_host, cluster_ip, grants, optional, ready], discovery)| Settings {
            mode: if legacy { Mode::Legacy } else { Mode::Managed },
            one_host,
            relay_to_cluster_ip: cluster_ip,
            reference_grants: grants,
            dataplane_optional: optional,
            ready_condition: ready,
            endpoint_discovery: discovery,
            ..Settings::default()
        },
    )
}

/// Objects of all kinds, some of them twice.
pub(crate) fn objects() -> impl Strategy<Value = Vec<Value>> {
    let object = prop_oneof![
        2 => class(),
        2 => config(),
        1 => dataplane(),
        4 => gateway(),
        3 => route("stunner.l7mp.io/v1"),
        2 => route("gateway.networking.k8s.io/v1alpha2"),
        2 => static_service(),
        3 => service(),
        2 => slice(),
        1 => endpoints(),
        2 => secret(),
        1 => node(),
        1 => namespace_object(),
        1 => grant(),
        2 => owned(),
    ];
    (prop::bool::weighted(0.8), vec(object, 0..40)).prop_map(|(usable, objects)| {
        if usable { basis().into_iter().chain(objects).collect() } else { objects }
    })
}

/// What it takes for most Gateways to be rendered at all.
fn basis() -> Vec<Value> {
    let class = |name: &str, config: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": name},
            "spec": {
                "controllerName": "stunner.l7mp.io/gateway-operator",
                "parametersRef": {
                    "group": "stunner.l7mp.io", "kind": "GatewayConfig", "name": config, "namespace": "n",
                },
            },
        })
    };
    let config = |name: &str, spec: Value| {
        json!({
            "apiVersion": "stunner.l7mp.io/v1", "kind": "GatewayConfig",
            "metadata": {"name": name, "namespace": "n"}, "spec": spec,
        })
    };
    vec![
        class("a", "static"),
        class("b", "ephemeral"),
        config("static", json!({"userName": "user", "password": SECRET})),
        config("ephemeral", json!({"authType": "ephemeral", "sharedSecret": SECRET, "dataplane": "a"})),
        json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "Dataplane", "metadata": {"name": "default"}}),
        json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "Dataplane", "metadata": {"name": "a"}}),
        json!({
            "apiVersion": "stunner.l7mp.io/v1", "kind": "StaticService",
            "metadata": {"name": "a", "namespace": "n"}, "spec": {"prefixes": ["10.0.0.0/8", "2001:db8::/32"]},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "default", "namespace": "n"}, "spec": {"clusterIP": "10.96.0.1"},
        }),
    ]
}

pub(crate) fn snapshot(objects: &[Value]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for object in objects {
        let (group, kind) = (text(object, "apiVersion"), text(object, "kind"));
        let group = group.split_once('/').map_or("", |(group, _)| group);
        let of =
            *Snapshot::TYPES.iter().find(|of| of.group == group && of.kind == kind).expect("a kind we know");
        Snapshot::dispatch(of, Insert { snapshot: &mut snapshot, of, object: object.clone() });
    }
    snapshot
}

struct Insert<'s> {
    snapshot: &'s mut Snapshot,
    of: Type,
    object: Value,
}

impl Visitor for Insert<'_> {
    type Output = ();

    fn visit<R: Stored>(self) {
        let mut object = from_value::<R>(self.object).expect("an object");
        if !self.of.namespaced {
            object.metadata_mut().namespace.clear();
        }
        // The first one counts, as in manifests.
        if !R::all(self.snapshot).contains_key(&object.key()) {
            self.snapshot.insert(object);
        }
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => select(vec!["a", "a", "b", "default"]).prop_map(str::to_owned),
        1 => "[a-z.$/ \"\u{202e}-]{0,80}",
    ]
}

fn namespace() -> impl Strategy<Value = String> {
    select(vec!["n", "m"]).prop_map(str::to_owned)
}

fn port() -> impl Strategy<Value = i32> {
    prop_oneof![20 => 1..6_i32, 1 => any::<i32>(), 1 => select(vec![0, 65_535, 65_536, -1])]
}

fn bool_text() -> impl Strategy<Value = String> {
    select(vec!["true", "FALSE", "TRUE", ""]).prop_map(str::to_owned)
}

fn annotations() -> impl Strategy<Value = Value> {
    let entry = prop_oneof![
        (select(vec!["service-type"]), select(vec!["ClusterIP", "NodePort", "odd"]).prop_map(str::to_owned)),
        (
            select(vec!["targetport", "nodeport"]),
            prop_oneof![Just("{\"a\": 2, \"b\": 99999}".to_owned()), ".{0,12}"]
        ),
        (
            select(vec![
                "enable-mixed-protocol-lb",
                "disable-managed-dataplane",
                "enable-relay-address-discovery",
                "disable-session-affinity"
            ]),
            bool_text()
        ),
        (select(vec!["related-gateway-name"]), select(vec!["n/a", "n/b", "m/a"]).prop_map(str::to_owned)),
    ];
    vec(entry, 0..3).prop_map(|entries| {
        entries
            .into_iter()
            .map(|(key, value)| (format!("stunner.l7mp.io/{key}"), Value::from(value)))
            .collect()
    })
}

prop_compose! {
    fn metadata()(
        name in name(),
        namespace in namespace(),
        annotations in annotations(),
        owner in option::of(name()),
        age in option::of(0..3),
        labels in option::of(select(vec![json!({"stunner.l7mp.io/owned-by": "stunner"}), json!({"team": "x"})])),
        slice_of in name(),
    ) -> Value {
        let mut labels = labels.unwrap_or_else(|| json!({}));
        labels["kubernetes.io/service-name"] = slice_of.into();
        json!({
            "name": name,
            "namespace": namespace,
            "annotations": annotations,
            "labels": labels,
            "generation": 3,
            "creationTimestamp": age.map(|age| format!("2026-11-22T0{age}:00:00Z")),
            "ownerReferences": owner.map(|owner| json!([
                {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": owner},
            ])),
        })
    }
}

prop_compose! {
    fn class()(
        metadata in metadata(),
        ours in prop::bool::weighted(0.8),
        parameters in option::weighted(0.9, (name(), option::weighted(0.9, namespace()))),
    ) -> Value {
        let controller = if ours { "stunner.l7mp.io/gateway-operator" } else { "example.com/other" };
        let parameters = parameters.map(|(name, namespace)| json!({
            "group": "stunner.l7mp.io", "kind": "GatewayConfig", "name": name, "namespace": namespace,
        }));
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": metadata,
            "spec": {"controllerName": controller, "parametersRef": parameters},
        })
    }
}

prop_compose! {
    fn config()(
        metadata in metadata(),
        auth in option::of(select(vec!["static", "ephemeral", "longterm", "none", "odd"])),
        inline in any::<[bool; 4]>(),
        reference in option::weighted(0.2, reference()),
        quota in option::of(any::<i64>()),
        dataplane in option::of(name()),
        annotations in annotations(),
        limit in option::of(-9..70_000_i64),
    ) -> Value {
        let secret = |present: bool| present.then_some(SECRET);
        json!({
            "apiVersion": "stunner.l7mp.io/v1", "kind": "GatewayConfig", "metadata": metadata,
            "spec": {
                "authType": auth, "authRef": reference, "userQuota": quota, "dataplane": dataplane,
                "userName": inline[0].then_some("user"), "password": secret(inline[1]),
                "sharedSecret": secret(inline[2]), "stunMode": inline[3].then_some(true),
                "loadBalancerServiceAnnotations": annotations, "limits": {"channels": limit},
            },
        })
    }
}

prop_compose! {
    fn reference()(
        kind in option::of(select(vec!["Secret", "ConfigMap"])),
        name in name(),
        namespace in option::of(namespace()),
    ) -> Value {
        json!({"kind": kind, "name": name, "namespace": namespace})
    }
}

prop_compose! {
    fn dataplane()(
        metadata in metadata(),
        resource in option::of(select(vec!["Deployment", "DaemonSet", "odd"])),
        offload in option::of(select(vec!["None", "XDP", "odd"])),
        flags in any::<[bool; 3]>(),
        replicas in option::of(any::<i32>()),
    ) -> Value {
        json!({
            "apiVersion": "stunner.l7mp.io/v1", "kind": "Dataplane", "metadata": metadata,
            "spec": {
                "dataplaneResource": resource, "offloadEngine": offload, "hostNetwork": flags[0], "replicas": replicas,
                "disableHealthCheck": flags[1], "enableMetricsEndpoint": flags[2],
            },
        })
    }
}

prop_compose! {
    fn listener()(
        name in prop_oneof![10 => select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned), 1 => name()],
        port in port(),
        protocol in prop_oneof![
            3 => select(vec!["UDP", "TURN-TCP", "TURN-UDP"]),
            1 => select(vec!["TLS", "TURN-DTLS", "SCTP", "udp"]),
        ],
        certificates in option::of(vec(reference(), 0..3)),
        from in option::of(select(vec!["Same", "All", "Selector", "odd"])),
    ) -> Value {
        json!({
            "name": name, "port": port, "protocol": protocol,
            "tls": certificates.map(|refs| json!({"certificateRefs": refs})),
            "allowedRoutes": {"namespaces": {"from": from, "selector": {"matchLabels": {"team": "x"}}}},
        })
    }
}

prop_compose! {
    fn gateway()(
        metadata in metadata(),
        class in prop_oneof![10 => select(vec!["a", "b"]).prop_map(str::to_owned), 1 => name()],
        listeners in vec(listener(), 0..5),
        address in option::weighted(0.2, select(vec!["192.0.2.1", "2001:db8::1", "name", ""])),
    ) -> Value {
        let addresses: Vec<_> = address.iter().map(|address| json!({"value": address})).collect();
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata,
            "spec": {"gatewayClassName": class, "listeners": listeners, "addresses": addresses},
        })
    }
}

fn route(api: &'static str) -> impl Strategy<Value = Value> {
    let parent = (name(), option::of(namespace()), option::of(name())).prop_map(
        |(name, namespace, section)| json!({"name": name, "namespace": namespace, "sectionName": section}),
    );
    let kind = select(vec![("", "Service"), ("stunner.l7mp.io", "StaticService"), ("", "Pod")]);
    let backend = (kind, name(), option::of(namespace()), option::of(port()), option::of(port()));
    let backend = backend.prop_map(|((group, kind), name, namespace, port, end)| {
        json!({"group": group, "kind": kind, "name": name, "namespace": namespace, "port": port, "endPort": end})
    });
    let rules = vec(vec(backend, 0..4).prop_map(|backends| json!({"backendRefs": backends})), 0..3);
    (metadata(), vec(parent, 0..4), rules).prop_map(move |(metadata, parents, rules)| {
        json!({
            "apiVersion": api, "kind": "UDPRoute", "metadata": metadata,
            "spec": {"parentRefs": parents, "rules": rules},
        })
    })
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any::<[u8; 4]>().prop_map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        4 => any::<[u8; 16]>().prop_map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
        2 => (any::<[u8; 4]>(), 0..40_u8).prop_map(|(octets, length)| {
            format!("{}/{length}", std::net::Ipv4Addr::from(octets))
        }),
        1 => "[0-9a-z.:/<>-]{0,20}",
    ]
}

prop_compose! {
    fn static_service()(metadata in metadata(), prefixes in vec(address(), 0..4)) -> Value {
        json!({
            "apiVersion": "stunner.l7mp.io/v1", "kind": "StaticService", "metadata": metadata,
            "spec": {"prefixes": prefixes},
        })
    }
}

prop_compose! {
    fn service()(
        metadata in metadata(),
        kind in option::of(select(vec!["ClusterIP", "NodePort", "LoadBalancer"])),
        cluster_ip in option::of(prop_oneof![address(), Just("None".to_owned())]),
        ports in vec((select(vec!["UDP", "TCP"]), port(), option::of(port())), 0..3),
        ingress in vec(address(), 0..2),
    ) -> Value {
        let ports: Vec<_> = ports.iter().map(|(protocol, port, node)| {
            json!({"protocol": protocol, "port": port, "nodePort": node})
        }).collect();
        let ingress: Vec<_> = ingress.iter().map(|ip| json!({"ip": ip})).collect();
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"type": kind, "clusterIP": cluster_ip, "ports": ports, "selector": {"app": "stunner"}},
            "status": {"loadBalancer": {"ingress": ingress}},
        })
    }
}

prop_compose! {
    fn slice()(metadata in metadata(), pods in vec(vec(address(), 0..3), 0..3)) -> Value {
        let pods: Vec<_> = pods.iter().map(|addresses| json!({"addresses": addresses})).collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": "IPv4", "endpoints": pods,
        })
    }
}

prop_compose! {
    fn endpoints()(metadata in metadata(), ips in vec(address(), 0..3)) -> Value {
        let ips: Vec<_> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata,
            "subsets": [{"addresses": ips, "notReadyAddresses": []}],
        })
    }
}

prop_compose! {
    fn secret()(
        metadata in metadata(),
        kind in option::of(select(vec!["static", "ephemeral", "none", "odd"])),
        present in any::<[bool; 4]>(),
    ) -> Value {
        let pem = |label: &str| format!("-----BEGIN {label}-----\n{SECRET}\n-----END {label}-----\n");
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata,
            "stringData": {
                "type": kind,
                "username": present[0].then_some("user"), "password": present[1].then_some(SECRET),
                "secret": present[2].then_some(SECRET),
                "tls.crt": present[3].then(|| pem("CERTIFICATE")), "tls.key": pem("PRIVATE KEY"),
            },
        })
    }
}

prop_compose! {
    fn node()(metadata in metadata(), address in address(), kind in select(vec!["ExternalIP", "ExternalDNS"])) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": metadata,
            "status": {"addresses": [{"type": kind, "address": address}]},
        })
    }
}

prop_compose! {
    fn namespace_object()(name in namespace()) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": "x"}}})
    }
}

prop_compose! {
    fn grant()(metadata in metadata(), from in namespace(), kind in select(vec!["UDPRoute", "GatewayConfig"])) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant", "metadata": metadata,
            "spec": {
                "from": [{"group": "stunner.l7mp.io", "kind": kind, "namespace": from}],
                "to": [{"group": "", "kind": "Service"}, {"group": "", "kind": "Secret"}],
            },
        })
    }
}

prop_compose! {
    /// What we, or somebody else, may have created for a Gateway.
    fn owned()(
        kind in select(vec!["Service", "Deployment", "DaemonSet"]),
        name in select(vec!["a", "b"]),
        namespace in namespace(),
        ours in any::<[bool; 3]>(),
        port in 1..4,
    ) -> Value {
        let owner = json!([{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": name}]);
        json!({
            "apiVersion": if kind == "Service" { "v1" } else { "apps/v1" },
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": ours[0].then(|| json!({"stunner.l7mp.io/owned-by": "stunner"})),
                "annotations": ours[1].then(|| json!({
                    "stunner.l7mp.io/related-gateway-name": format!("{namespace}/{name}"),
                })),
                "ownerReferences": ours[2].then_some(owner),
            },
            "spec": if kind == "Service" {
                json!({"type": "LoadBalancer", "ports": [{"port": port, "protocol": "UDP"}]})
            } else {
                json!({})
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}},
        })
    }
}
