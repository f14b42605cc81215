use serde_json::{Value, json};

/// Endpoints of each route.
pub(super) const ENDPOINTS: usize = 10;

/// Namespaces that the Gateways are spread over.
const NAMESPACES: usize = 10;

pub(super) const CONTROLLER: &str = "example.com/scale";

pub(super) fn namespace(at: usize) -> String {
    format!("scale-{}", at % NAMESPACES)
}

pub(super) fn gateway_id(at: usize) -> String {
    format!("{}/gateway-{at}", namespace(at))
}

/// What all Gateways have in common.
pub(super) fn shared() -> Vec<Value> {
    let parameters =
        json!({"group": "stunner.l7mp.io", "kind": "GatewayConfig", "name": "scale", "namespace": "scale-0"});
    let mut all: Vec<_> = (0..NAMESPACES)
        .map(|at| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(at)}}))
        .collect();
    all.extend([
        json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "GatewayConfig",
            "metadata": {"name": "scale", "namespace": "scale-0"},
            "spec": {"userName": "user", "password": "pass", "dataplane": "scale"}}),
        json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "Dataplane", "metadata": {"name": "scale"}, "spec": {}}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "scale"},
            "spec": {"controllerName": CONTROLLER, "parametersRef": parameters}}),
    ]);
    all
}

/// What each Gateway has for itself.
pub(super) fn own(at: usize) -> [Value; 4] {
    let namespace = namespace(at);
    let metadata = |name: &str| json!({"name": format!("{name}-{at}"), "namespace": namespace});
    [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("backend"),
            "spec": {"clusterIP": "None", "ports": [{"port": 1, "protocol": "UDP"}]}}),
        slice(at, 0),
        json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "UDPRoute", "metadata": metadata("route"),
            "spec": {"parentRefs": [{"name": format!("gateway-{at}")}],
                "rules": [{"backendRefs": [{"name": format!("backend-{at}")}]}]}}),
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata("gateway"),
            "spec": {"gatewayClassName": "scale",
                "listeners": [{"name": "udp", "port": 3478, "protocol": "TURN-UDP"}]}}),
    ]
}

/// The endpoints of a Gateway, the last one of which changes.
pub(super) fn slice(at: usize, change: usize) -> Value {
    let mut addresses: Vec<String> =
        (1..ENDPOINTS).map(|host| format!("10.{}.{}.{host}", at / 256, at % 256)).collect();
    addresses.push(marker(change));
    let endpoints: Vec<_> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("backend-{at}-1"), "namespace": namespace(at),
            "labels": {"kubernetes.io/service-name": format!("backend-{at}")}},
        "endpoints": endpoints})
}

/// The address that tells a change from all others.
pub(super) fn marker(change: usize) -> String {
    format!("172.16.{}.{}", change / 256, change % 256)
}
