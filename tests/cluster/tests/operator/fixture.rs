//! The objects that most tests begin with, and the one API server that they share. Every test has a namespace, a
//! controller and cluster-wide names of its own.

use std::sync::OnceLock;

use cluster::{Api, Discovery, GatewayApi, Operator, Options, Server};
use serde_json::Value;

/// A namespace with its operator.
pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) options: Options,
    pub(crate) operator: Option<Operator>,
    pub(crate) name: String,
}

/// The API server of all tests, or nothing if the machine lacks the programs.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    // Asked by every test, so that each one that is skipped is counted.
    kit::need("kube-apiserver")?;
    SERVER.get_or_init(|| Server::start(GatewayApi::Current)).as_ref()
}

impl World {
    /// The fixture of the contract without route and backend, under an operator with `flags`; `name` is the test's.
    pub(crate) fn start(name: &str, flags: &[&str]) -> Option<Self> {
        let world = Self::without_operator(name, flags)?;
        Some(world.launch())
    }

    /// The same without an operator.
    pub(crate) fn without_operator(name: &str, flags: &[&str]) -> Option<Self> {
        Some(Self::on(server()?, name, flags))
    }

    /// The same on an API server of the test's own.
    pub(crate) fn on(server: &Server, name: &str, flags: &[&str]) -> Self {
        let name = name.replace('_', "-");
        let options = flags.iter().fold(Options::new(&name), |options, flag| options.with(flag));
        let world = Self { api: server.api(), options, operator: None, name };
        world.apply(BASE);
        world
    }

    /// The same whose operators hold a lease in its namespace.
    pub(crate) fn electing(mut self) -> Self {
        self.apply(LEASE_ROLE);
        let namespace = format!("--leader-election-namespace={}", self.name);
        self.options = self.options.with("--leader-elect").with(&namespace);
        self
    }

    /// Starts the operator.
    pub(crate) fn launch(mut self) -> Self {
        self.start_operator();
        self
    }

    pub(crate) fn start_operator(&mut self) {
        let server = server().expect("the server was there before");
        self.operator = Some(Operator::start(server, &self.options));
    }

    pub(crate) fn operator(&self) -> &Operator {
        self.operator.as_ref().expect("an operator runs")
    }

    pub(crate) fn discovery(&self) -> Discovery {
        self.operator().discovery()
    }

    /// Applies YAML in which NAME is this test.
    #[track_caller]
    pub(crate) fn apply(&self, yaml: &str) {
        self.api.apply(&yaml.replace("NAME", &self.name));
    }

    /// `reference` of an object in the test's namespace: `apiVersion/Kind name`.
    pub(crate) fn at(&self, kind: &str, name: &str) -> String {
        format!("{kind} {}/{name}", self.name)
    }

    /// What discovery calls a Gateway of the test's namespace.
    pub(crate) fn id(&self, gateway: &str) -> String {
        format!("{}/{gateway}", self.name)
    }

    /// The gateway of the fixture.
    pub(crate) fn gateway(&self) -> String {
        self.at(GATEWAY, "gateway-1")
    }

    /// Waits until the configuration that dataplanes get `holds`: the Gateway's own, or in legacy mode the one of all.
    #[track_caller]
    pub(crate) fn await_config(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        if self.options.flags.iter().any(|flag| flag == LEGACY) {
            let map = self.api.await_object(&self.config_map(), what, |map| holds(&in_config_map(map)));
            return in_config_map(&map);
        }
        self.discovery().await_config(&format!("{}/gateway-1", self.name), what, holds)
    }

    /// What takes the place of discovery in legacy mode.
    pub(crate) fn config_map(&self) -> String {
        self.at("v1/ConfigMap", "stunnerd-config")
    }

    #[track_caller]
    pub(crate) fn annotate(&self, kind: &str, name: &str, key: &str, value: Option<&str>) {
        let patch = serde_json::json!({"metadata": {"annotations": {key: value}}});
        self.api.patch(&self.at(kind, name), patch);
    }
}

/// The flag for legacy mode.
pub(crate) const LEGACY: &str = "--dataplane-mode=legacy";

/// The configuration in a ConfigMap.
pub(crate) fn in_config_map(map: &Value) -> Value {
    let text = map["data"]["stunnerd.conf"].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

pub(crate) const GATEWAY: &str = "gateway.networking.k8s.io/v1/Gateway";
pub(crate) const CLASS: &str = "gateway.networking.k8s.io/v1/GatewayClass";
pub(crate) const CONFIG: &str = "stunner.l7mp.io/v1/GatewayConfig";
pub(crate) const DATAPLANE: &str = "stunner.l7mp.io/v1/Dataplane";
pub(crate) const ROUTE: &str = "stunner.l7mp.io/v1/UDPRoute";
pub(crate) const OFFICIAL_ROUTE: &str = "gateway.networking.k8s.io/v1alpha2/UDPRoute";
pub(crate) const STATIC_SERVICE: &str = "stunner.l7mp.io/v1/StaticService";
pub(crate) const SERVICE: &str = "v1/Service";
pub(crate) const SECRET: &str = "v1/Secret";
pub(crate) const DEPLOYMENT: &str = "apps/v1/Deployment";
pub(crate) const DAEMON_SET: &str = "apps/v1/DaemonSet";

/// Status and reason of a condition.
pub(crate) fn condition<'v>(conditions: &'v Value, kind: &str) -> (&'v str, &'v str) {
    let all = conditions.as_array().map_or(&[][..], Vec::as_slice);
    let one = all.iter().find(|one| one["type"] == kind);
    one.map_or(("", ""), |one| {
        (one["status"].as_str().unwrap_or_default(), one["reason"].as_str().unwrap_or_default())
    })
}

/// The listener of that name in a configuration or a status.
pub(crate) fn listener<'v>(of: &'v Value, name: &str) -> &'v Value {
    let all = of["listeners"].as_array().map_or(&[][..], Vec::as_slice);
    let ends = |one: &&Value| one["name"].as_str().is_some_and(|full| full.rsplit('/').next() == Some(name));
    all.iter().find(ends).unwrap_or(&Value::Null)
}

pub(crate) const UDP: &str = "gateway-1-listener-udp";
pub(crate) const TCP: &str = "gateway-1-listener-tcp";

pub(crate) const BASE: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: NAME, labels: {testlabel: testvalue}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: NAME}
spec:
  controllerName: example.com/NAME
  parametersRef: {group: stunner.l7mp.io, kind: GatewayConfig, name: gatewayconfig-ok, namespace: NAME}
---
apiVersion: stunner.l7mp.io/v1
kind: GatewayConfig
metadata: {name: gatewayconfig-ok, namespace: NAME}
spec: {realm: testrealm, authType: static, userName: testuser, password: testpass, logLevel: testloglevel, dataplane: NAME}
---
apiVersion: stunner.l7mp.io/v1
kind: Dataplane
metadata: {name: NAME}
spec:
  image: testimage-1
  replicas: 3
  hostNetwork: true
  terminationGracePeriodSeconds: 60
  resources: {limits: {memory: 10M}, requests: {cpu: 250m}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway-1, namespace: NAME, labels: {dummy-label: dummy-value}}
spec:
  gatewayClassName: NAME
  listeners:
    - {name: gateway-1-listener-udp, port: 1, protocol: TURN-UDP}
    - {name: gateway-1-listener-tcp, port: 2, protocol: TURN-TCP}
";

/// Route and backend of the fixture.
pub(crate) const ROUTE_AND_BACKEND: &str = r"
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata: {name: udproute-ok, namespace: NAME}
spec:
  parentRefs: [{name: gateway-1, sectionName: gateway-1-listener-udp}]
  rules: [{backendRefs: [{name: testservice-ok}]}]
---
apiVersion: v1
kind: Service
metadata: {name: testservice-ok, namespace: NAME}
spec: {ports: [{port: 1, protocol: UDP}], selector: {app: dummy}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: testservice-ok-1, namespace: NAME, labels: {kubernetes.io/service-name: testservice-ok}}
addressType: IPv4
endpoints:
  - {addresses: [1.2.3.4], conditions: {ready: true}}
  - {addresses: [1.2.3.5], conditions: {ready: true}}
  - {addresses: [1.2.3.6], conditions: {ready: false, serving: false, terminating: true}}
  - {addresses: [1.2.3.7], conditions: {ready: false, serving: true}}
";

/// What a replica needs to hold a lease in another namespace than usual.
const LEASE_ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lease, namespace: NAME}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lease, namespace: NAME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lease}
subjects:
  - {kind: ServiceAccount, name: stunner-gateway-operator-controller-manager, namespace: stunner-system}
";

/// The annotation of that name that the operator understands.
pub(crate) fn ours(name: &str) -> String {
    format!("stunner.l7mp.io/{name}")
}

/// Number of endpoints of the first cluster of a configuration.
pub(crate) fn endpoints(config: &Value) -> usize {
    config["clusters"][0]["endpoints"].as_array().map_or(0, Vec::len)
}

/// Number of listeners of a configuration.
pub(crate) fn listeners(config: &Value) -> usize {
    config["listeners"].as_array().map_or(0, Vec::len)
}

/// Whether the operator has written what it has rendered: nothing is under way, waiting or failing.
pub(crate) fn is_idle(metrics: &str) -> bool {
    ["queue_length", "failing_writes"]
        .iter()
        .all(|name| metrics.lines().any(|line| line == format!("stunner_gateway_operator_{name} 0")))
}
