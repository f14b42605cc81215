//! The custom resource definitions of our kinds.
//!
//! They are kept in `deploy/crds`, which a test compares with [`all`]. Schemas are structural. What was accepted once
//! stays acceptable: a constraint that was not there from the beginning stands where the API server ratchets, that is
//! where it lets old values pass as long as they do not change.

mod pod;

use serde_json::{Map, Value, json};

use crate::names;

/// The definitions, in the order of their names.
pub fn all() -> Vec<Value> {
    let dataplane = Definition {
        kind: "Dataplane",
        plural: "dataplanes",
        short: &["dps"],
        namespaced: false,
        versions: vec![
            version("v1", "Template of dataplane pods.", pod::dataplane(), &[]),
            version("v1alpha1", "Template of dataplane pods, as it used to be.", pod::dataplane_alpha(), &[]),
        ],
    };
    let columns = [("Realm", ".spec.realm"), ("Dataplane", ".spec.dataplane")];
    let alpha_columns = [("Realm", ".spec.realm"), ("Auth", ".spec.authType")];
    let gateway_config = Definition {
        kind: "GatewayConfig",
        plural: "gatewayconfigs",
        short: &["gwconf"],
        namespaced: true,
        versions: vec![
            version("v1", "What the Gateways of a GatewayClass have in common.", gateway_config(), &columns),
            version(
                "v1alpha1",
                "What the Gateways of a GatewayClass have in common, as it used to be.",
                gateway_config_alpha(),
                &alpha_columns,
            ),
        ],
    };
    let static_service = Definition {
        kind: "StaticService",
        plural: "staticservices",
        short: &["ssvc"],
        namespaced: true,
        versions: vec![
            version("v1", "Peers outside the cluster, all ports of them.", static_service(false), &[]),
            version("v1alpha1", "Peers outside the cluster, as it used to be.", static_service(true), &[]),
        ],
    };
    let mut route = version("v1", "Which peers the clients of which listeners may reach.", udp_route(), &[]);
    route["schema"]["openAPIV3Schema"]["required"] = json!(["spec"]);
    route["schema"]["openAPIV3Schema"]["properties"]["status"] = route_status();
    route["subresources"] = json!({"status": {}});
    let udp_route = Definition {
        kind: "UDPRoute",
        plural: "udproutes",
        short: &[],
        namespaced: true,
        versions: vec![route],
    };
    [dataplane, gateway_config, static_service, udp_route].into_iter().map(Definition::object).collect()
}

struct Definition {
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    versions: Vec<Value>,
}

impl Definition {
    fn object(mut self) -> Value {
        self.versions[0]["storage"] = true.into();
        let mut names = json!({
            "kind": self.kind,
            "listKind": format!("{}List", self.kind),
            "plural": self.plural,
            "singular": self.kind.to_ascii_lowercase(),
            "categories": ["stunner"],
        });
        if !self.short.is_empty() {
            names["shortNames"] = json!(self.short);
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.{}", self.plural, names::GROUP)},
            "spec": {
                "group": names::GROUP,
                "names": names,
                "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
                "versions": self.versions,
            },
        })
    }
}

fn version(name: &str, description: &str, spec: Value, columns: &[(&str, &str)]) -> Value {
    let column = |(name, path): &(&str, &str)| json!({"name": name, "type": "string", "jsonPath": path});
    let mut columns: Vec<_> = columns.iter().map(column).collect();
    columns.push(json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}));
    json!({
        "name": name,
        "served": true,
        "storage": false,
        "subresources": {},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": {
            "description": description,
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"type": "object"},
                "spec": spec,
            },
        }},
    })
}

/// An object with these properties.
fn object(description: &str, properties: &[(&str, Value)]) -> Value {
    let properties: Map<_, _> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let schema = json!({"type": "object", "properties": properties});
    if description.is_empty() { schema } else { with(schema, json!({"description": description})) }
}

fn required(mut schema: Value, names: &[&str]) -> Value {
    schema["required"] = json!(names);
    schema
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": "string"})
}

fn flag(description: &str) -> Value {
    json!({"description": description, "type": "boolean"})
}

fn int32(description: &str) -> Value {
    json!({"description": description, "type": "integer", "format": "int32"})
}

fn int64(description: &str) -> Value {
    json!({"description": description, "type": "integer", "format": "int64"})
}

fn list(description: &str, items: Value) -> Value {
    json!({"description": description, "type": "array", "items": items})
}

fn map(description: &str) -> Value {
    json!({"description": description, "type": "object", "additionalProperties": {"type": "string"}})
}

/// `schema` with further keywords.
fn with(mut schema: Value, keywords: Value) -> Value {
    if let (Some(schema), Value::Object(keywords)) = (schema.as_object_mut(), keywords) {
        schema.extend(keywords);
    }
    schema
}

const DOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const DOMAIN_OR_EMPTY: &str = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const KIND: &str = "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";
const CREDENTIAL: &str = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$";

fn gateway_config() -> Value {
    let mut properties = shared_gateway_config().to_vec();
    properties.extend([
        (
            "userQuota",
            json!({"description": "Most allocations that a user may hold in one pod; 0 is no limit.", "type": "integer"}),
        ),
        ("stunMode", flag("Answer STUN requests only, and relay nothing.")),
    ]);
    object("", &properties)
}

fn gateway_config_alpha() -> Value {
    let mut properties = shared_gateway_config().to_vec();
    properties.extend([
        (
            "stunnerConfig",
            with(text("Ignored."), json!({"default": "stunnerd-config", "maxLength": 64, "pattern": KIND})),
        ),
        ("metricsEndpoint", text("Ignored.")),
        ("healthCheckEndpoint", text("Ignored.")),
        ("minPort", int32("Ignored.")),
        ("maxPort", int32("Ignored.")),
    ]);
    object("", &properties)
}

fn shared_gateway_config() -> [(&'static str, Value); 11] {
    [
        ("dataplane", with(text("The Dataplane that pods are made from."), json!({"default": "default"}))),
        (
            "realm",
            with(
                text("Realm of TURN authentication."),
                json!({"default": "stunner.l7mp.io", "pattern": DOMAIN}),
            ),
        ),
        (
            "authType",
            with(
                text("How clients authenticate: static (plaintext) or ephemeral (longterm, timewindowed)."),
                json!({"default": "plaintext", "pattern": "^(plaintext|static|longterm|ephemeral|timewindowed)$"}),
            ),
        ),
        ("userName", with(text("User name of static authentication."), json!({"pattern": CREDENTIAL}))),
        ("password", with(text("Password of static authentication."), json!({"pattern": CREDENTIAL}))),
        ("sharedSecret", text("Secret that ephemeral credentials are made with.")),
        ("authLifetime", int32("Ignored.")),
        ("authRef", secret_ref("A Secret with the credentials, which replaces what stands here.")),
        (
            "loadBalancerServiceAnnotations",
            map("Annotations of the Services that expose Gateways; those of a Gateway override them."),
        ),
        ("logLevel", text("What dataplanes log, as in all:INFO,turn:DEBUG.")),
        ("limits", limits()),
    ]
}

fn limits() -> Value {
    let limit = |description| with(int32(description), json!({"minimum": 0, "maximum": 65535}));
    let properties = [
        ("permissions", limit("Permissions of an allocation; 0 is 256.")),
        ("channels", limit("Channels of an allocation; 0 is 256.")),
        ("connections", limit("TCP connections between an allocation and peers; 0 is 64.")),
        (
            "allocationsPerAddress",
            limit("Allocations of an IPv4 address or of an IPv6 network of 64 bits; 0 is no limit."),
        ),
        ("handshakes", limit("TLS and DTLS handshakes in flight at each worker; 0 is 512.")),
        (
            "handshakesPerAddress",
            limit("Those of them from one IPv4 address or from one IPv6 network of 64 bits; 0 is 128."),
        ),
    ];
    object("What a client may have at a time in one pod.", &properties)
}

fn secret_ref(description: &str) -> Value {
    let properties = [
        (
            "group",
            with(
                text("API group, empty for Secrets."),
                json!({"default": "", "maxLength": 253, "pattern": DOMAIN_OR_EMPTY}),
            ),
        ),
        (
            "kind",
            with(
                text("Secret."),
                json!({"default": "Secret", "minLength": 1, "maxLength": 63, "pattern": KIND}),
            ),
        ),
        ("name", with(text("Name."), json!({"minLength": 1, "maxLength": 253}))),
        (
            "namespace",
            with(
                text("Namespace, if it is another one."),
                json!({"minLength": 1, "maxLength": 63, "pattern": LABEL}),
            ),
        ),
    ];
    required(object(description, &properties), &["name"])
}

fn static_service(alpha: bool) -> Value {
    let mut properties = vec![("prefixes", list("IP addresses and prefixes.", json!({"type": "string"})))];
    if alpha {
        let port = [
            ("name", text("Name.")),
            ("protocol", with(text("Transport protocol."), json!({"default": "TCP"}))),
            ("appProtocol", text("Application protocol.")),
            ("port", int32("Port.")),
            ("targetPort", json!({"x-kubernetes-int-or-string": true})),
            ("nodePort", int32("Port of nodes.")),
        ];
        let ports = list("Ignored.", required(object("A port.", &port), &["port"]));
        let keys =
            json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"]});
        properties.push(("ports", with(ports, keys)));
    }
    required(object("", &properties), &["prefixes"])
}

fn udp_route() -> Value {
    let port = |description| with(int32(description), json!({"minimum": 1, "maximum": 65535}));
    let backend = [
        (
            "group",
            with(
                text("API group: empty for Services, stunner.l7mp.io for StaticServices."),
                json!({"default": "", "maxLength": 253, "pattern": DOMAIN_OR_EMPTY}),
            ),
        ),
        (
            "kind",
            with(
                text("Service or StaticService."),
                json!({"default": "Service", "minLength": 1, "maxLength": 63, "pattern": KIND}),
            ),
        ),
        ("name", with(text("Name."), json!({"minLength": 1, "maxLength": 253}))),
        (
            "namespace",
            with(
                text("Namespace, if it is not that of the route."),
                json!({"minLength": 1, "maxLength": 63, "pattern": LABEL}),
            ),
        ),
        ("port", port("The only port, or the first one if endPort is given; all of them if absent.")),
        ("endPort", port("The last port.")),
    ];
    let backend = required(object("Peers.", &backend), &["name"]);
    let backends = with(list("Peers.", backend), json!({"minItems": 1, "maxItems": 16}));
    let rule = object("Peers that clients may reach.", &[("backendRefs", with(backends, atomic()))]);
    let rules = with(list("Only the first one counts.", rule), json!({"minItems": 1, "maxItems": 16}));
    let parents = with(list("Gateways, or listeners of them.", parent_ref()), json!({"maxItems": 32}));
    let spec = [
        ("parentRefs", with(parents, atomic())),
        ("useDefaultGateways", with(text("Ignored."), json!({"enum": ["All", "None"]}))),
        ("rules", with(rules, atomic())),
    ];
    required(object("", &spec), &["rules"])
}

fn atomic() -> Value {
    json!({"x-kubernetes-list-type": "atomic"})
}

fn parent_ref() -> Value {
    let properties = [
        (
            "group",
            with(
                text("API group."),
                json!({"default": names::GATEWAY_GROUP, "maxLength": 253, "pattern": DOMAIN_OR_EMPTY}),
            ),
        ),
        (
            "kind",
            with(
                text("Kind."),
                json!({"default": "Gateway", "minLength": 1, "maxLength": 63, "pattern": KIND}),
            ),
        ),
        ("name", with(text("Name."), json!({"minLength": 1, "maxLength": 253}))),
        (
            "namespace",
            with(
                text("Namespace, if it is another one."),
                json!({"minLength": 1, "maxLength": 63, "pattern": LABEL}),
            ),
        ),
        (
            "sectionName",
            with(
                text("The listener, if it is not all of them."),
                json!({"minLength": 1, "maxLength": 253, "pattern": DOMAIN}),
            ),
        ),
        ("port", with(int32("Ignored."), json!({"minimum": 1, "maximum": 65535}))),
    ];
    required(object("A Gateway or one listener of it.", &properties), &["name"])
}

fn route_status() -> Value {
    let condition = [
        ("type", with(text("What it is about."), json!({"maxLength": 316}))),
        ("status", with(text("Whether it holds."), json!({"enum": ["True", "False", "Unknown"]}))),
        ("reason", with(text("Why, as one word."), json!({"minLength": 1, "maxLength": 1024}))),
        ("message", with(text("Why, for people."), json!({"maxLength": 32768}))),
        ("observedGeneration", with(int64("The generation that was looked at."), json!({"minimum": 0}))),
        ("lastTransitionTime", with(text("When it last changed."), json!({"format": "date-time"}))),
    ];
    let condition = required(
        object("What is known.", &condition),
        &["lastTransitionTime", "message", "reason", "status", "type"],
    );
    let conditions = with(
        list("What is known.", condition),
        json!({
            "minItems": 1,
            "maxItems": 8,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        }),
    );
    let parent = [
        ("parentRef", parent_ref()),
        ("controllerName", with(text("Who says so."), json!({"minLength": 1, "maxLength": 253}))),
        ("conditions", conditions),
    ];
    let parent = required(
        object("What one controller says about one parent.", &parent),
        &["controllerName", "parentRef"],
    );
    let parents = with(list("One entry for each controller and parent.", parent), json!({"maxItems": 32}));
    required(object("What has become of the route.", &[("parents", with(parents, atomic()))]), &["parents"])
}
