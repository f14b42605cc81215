//! `stunnerctl icetest` against a real API server. The test plays what a node, a load balancer and the controller of
//! namespaces do; gateway, icetester and authentication service are processes of this machine.
//!
//! There is no DNS here, so the symmetric test, in which the backend finds the gateway by its name, cannot pass: the story
//! ends there.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use cluster::{Api, Kubelet, Operator, Options};
use kit::{Deadline, Process};
use serde_json::{Value, json};

use crate::fixture::server;

/// Where the gateways are: nobody else uses that address of this machine, so their port is free.
const GATEWAYS: &str = "127.77.34.78";

const LABEL: &str = "stunner.l7mp.io/icetest";
const NODE: &str = "icetest-node";
const TRANSPORTS: [&str; 2] = ["udp", "tcp"];

/// An operator of the usual controller name, and the Dataplane that the chart makes.
struct Stage {
    api: Api,
    operator: Operator,
    /// Objects without a namespace have the same names in all tests.
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    fn set() -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let server = server()?;
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let api = server.api();
        let dataplane = json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "Dataplane", "metadata": {"name": "default"},
            "spec": {"disableHealthCheck": true, "image": "stunnerd"}});
        api.apply(&dataplane.to_string());
        let controller = "stunner.l7mp.io/gateway-operator".to_owned();
        let operator = Operator::start(server, &Options { controller, ..Options::new("icetest") });
        Some(Self { api, operator, _alone: alone })
    }

    /// The command, with the shortest measurements that there are.
    fn command(&self, namespace: &str, options: &str) -> Command {
        let kubeconfig = server().expect("the server was there before").admin_kubeconfig();
        let mut command = Command::new(kit::binary("stunnerctl"));
        command.env_clear().env("KUBECONFIG", kubeconfig);
        command.args(["icetest", "-n", namespace, "--duration", "1s", "--packet-rate", "100"]);
        command.arg(format!("--cds-server-address={}", self.operator.discovery_address()));
        command.args(options.split_whitespace());
        command
    }

    /// Exit code and complaint.
    fn fail(&self, namespace: &str, options: &str) -> (Option<i32>, String) {
        let output = self.command(namespace, options).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Nothing that an icetest makes is there.
    #[track_caller]
    fn assert_nothing_is_left(&self, namespace: &str) {
        let kinds = [
            ("gateway.networking.k8s.io/v1/GatewayClass", ""),
            ("stunner.l7mp.io/v1/Dataplane", ""),
            ("v1/Namespace", ""),
            ("gateway.networking.k8s.io/v1/Gateway", namespace),
            ("stunner.l7mp.io/v1/GatewayConfig", namespace),
            ("stunner.l7mp.io/v1/UDPRoute", namespace),
            ("v1/Pod", namespace),
            ("v1/Service", namespace),
        ];
        for (kind, place) in kinds {
            let place = if place.is_empty() { String::new() } else { format!("{place}/") };
            let left = self.api.list(&format!("{kind} {place}"));
            let left: Vec<&Value> =
                left.iter().filter(|one| !one["metadata"]["labels"][LABEL].is_null()).collect();
            // What the operator has made of the Gateways is owned by them, and nobody collects such garbage here.
            let left: Vec<_> =
                left.iter().filter(|one| one["metadata"]["ownerReferences"].is_null()).collect();
            assert!(left.is_empty(), "{kind}: {left:?}");
        }
    }
}

/// Whoever acts in a cluster beside the operator, until dropped.
struct Players {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Players {
    /// `act` is called again and again; what cannot be done now is done at the next look.
    fn start(act: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, mut act) = (Arc::clone(&stop), act);
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                act();
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Players {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Lets a namespace go that somebody has deleted.
fn play_controller(api: &Api, namespace: &str) {
    let Some(mut object) = api.try_list("v1/Namespace ").ok().and_then(|all| named(&all, namespace)) else {
        return;
    };
    if !object["metadata"]["deletionTimestamp"].is_null() {
        object["spec"]["finalizers"] = json!([]);
        drop(api.try_send("PUT", &format!("/api/v1/namespaces/{namespace}/finalize"), &object));
    }
}

/// Gives addresses to Services of type LoadBalancer.
fn play_balancer(api: &Api, namespace: &str) {
    for service in api.try_list(&format!("v1/Service {namespace}/")).unwrap_or_default() {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        if service["spec"]["type"] == "LoadBalancer" && service["status"]["loadBalancer"]["ingress"].is_null()
        {
            let status = json!({"loadBalancer": {"ingress": [{"ip": GATEWAYS}]}});
            drop(api.try_patch_status(&format!("v1/Service {namespace}/{name}"), &status));
        }
    }
}

/// Lets the route lead to this machine as well: Kubernetes takes no loopback addresses as endpoints of Services.
fn play_network(api: &Api, namespace: &str) {
    let group = format!("/apis/stunner.l7mp.io/v1/namespaces/{namespace}");
    let routes = api.try_list(&format!("stunner.l7mp.io/v1/UDPRoute {namespace}/")).unwrap_or_default();
    let Some(mut route) = named(&routes, "icetest-route") else { return };
    let here = json!({"group": "stunner.l7mp.io", "kind": "StaticService", "name": "here"});
    let Some(backends) = route["spec"]["rules"][0]["backendRefs"].as_array_mut() else { return };
    if backends.iter().any(|backend| backend["name"] == "here") {
        return;
    }
    backends.push(here);
    let loopback = json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "StaticService",
        "metadata": {"name": "here", "namespace": namespace}, "spec": {"prefixes": ["127.0.0.0/8"]}});
    drop(api.try_send("POST", &format!("{group}/staticservices"), &loopback));
    drop(api.try_send("PUT", &format!("{group}/udproutes/icetest-route"), &route));
}

/// Puts the backend on the node, runs a pod for each gateway, and says that all are ready.
fn play_node(api: &Api, namespace: &str) {
    let pods = api.try_list(&format!("v1/Pod {namespace}/")).unwrap_or_default();
    if let Some(backend) = named(&pods, "icetest-backend")
        && backend["spec"]["nodeName"].is_null()
    {
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "icetest-backend"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}});
        let path = format!("/api/v1/namespaces/{namespace}/pods/icetest-backend/binding");
        drop(api.try_send("POST", &path, &binding));
    }
    let deployments = api.try_list(&format!("apps/v1/Deployment {namespace}/")).unwrap_or_default();
    for deployment in deployments {
        let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
        let labels = json!({"app": "stunner", "stunner.l7mp.io/related-gateway-name": name,
            "stunner.l7mp.io/related-gateway-namespace": namespace});
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "process", "image": "none"}]}});
        if named(&pods, name).is_none() {
            drop(api.try_send("POST", &format!("/api/v1/namespaces/{namespace}/pods"), &pod));
        }
    }
    for pod in pods.iter().filter(|pod| pod["status"]["phase"] != "Running") {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        drop(api.try_patch_status(&format!("v1/Pod {namespace}/{name}"), &status));
    }
}

fn named(objects: &[Value], name: &str) -> Option<Value> {
    objects.iter().find(|object| object["metadata"]["name"] == name).cloned()
}

/// The dataplanes of both gateways, as soon as there is a configuration.
fn dataplanes(stage: &Stage, namespace: &str) -> Vec<Process> {
    let start = |transport: &&str| {
        let id = format!("{namespace}/icetest-{transport}-gateway");
        stage.operator.discovery().await_config(&id, "there", |_| true);
        let mut daemon = Command::new(kit::binary("stunnerd"));
        daemon.args(["-w", "-u", "1"]).env("STUNNER_ADDR", GATEWAYS);
        daemon.env("STUNNER_CONFIG_ORIGIN", format!("http://{}", stage.operator.discovery_address()));
        daemon
            .env("STUNNER_NAMESPACE", namespace)
            .env("STUNNER_NAME", format!("icetest-{transport}-gateway"));
        Process::spawn(daemon)
    };
    TRANSPORTS.iter().map(start).collect()
}

fn address(process: &Process, before: &str) -> SocketAddr {
    process.await_match(0, Deadline::default(), "its address", |line| {
        let (_, rest) = line.split_once(before)?;
        let start = rest.find("127.0.0.1:")?;
        rest[start..].split([' ', '"']).next()?.parse().ok()
    })
}

#[test]
fn icetest_tests_a_gateway_and_leaves_nothing_when_it_is_interrupted() {
    let Some(stage) = Stage::set() else { return };
    let (namespace, discovery) = ("icetest-whole", stage.operator.discovery_address());
    let mut tester = Command::new(kit::binary("icetester"));
    tester.args(["--addr", "127.0.0.1:0"]);
    let tester = Process::spawn(tester);
    let mut auth = Command::new(kit::binary("stunner-auth"));
    auth.args(["--bind=127.0.0.1", "--port=0", &format!("--cds-server-address={}", discovery.ip())]);
    auth.arg(format!("--cds-server-port={}", discovery.port()));
    let auth = Process::spawn(auth);
    let kubelet = Kubelet::start(&stage.api, NODE);
    kubelet.expose(&format!("{namespace}/icetest-backend"), 8089, address(&tester, "listening on"));
    let api = stage.api.clone();
    let _players = Players::start(move || {
        play_node(&api, namespace);
        play_balancer(&api, namespace);
        play_network(&api, namespace);
        play_controller(&api, namespace);
    });

    let service = format!("--auth-server-address={}", address(&auth, "listening"));
    let mut run = Process::spawn(stage.command(namespace, &service));
    let _dataplanes = dataplanes(&stage, namespace);
    let last = Deadline::after(Duration::from_secs(120));
    run.await_match(0, last, "both asymmetric tests", |line| {
        line.contains("asymmetric ICE test over TURN-TCP... completed").then_some(())
    });
    for phase in [
        "Initializing... completed",
        "Checking installation... completed",
        "Checking Gateway over TURN-UDP... completed",
        "Checking Gateway over TURN-TCP... completed",
        "Obtaining ICE server configuration over TURN-UDP... completed",
        "Obtaining ICE server configuration over TURN-TCP... completed",
        "Running asymmetric ICE test over TURN-UDP... completed",
    ] {
        run.await_line(phase);
    }
    run.await_line("Statistics: rate=");
    run.await_line(&format!("* udp4 relay {GATEWAYS}:"));
    // What there is while it runs, as it was asked for and as the definitions of its kinds allow.
    let config =
        stage.api.get(&format!("stunner.l7mp.io/v1/GatewayConfig {namespace}/icetest-gatewayconfig"));
    assert_eq!(config["spec"]["realm"], "icetest.l7mp.io");
    let secret = config["spec"]["sharedSecret"].as_str().expect("a secret");
    assert_eq!(secret.len(), 32, "{secret}");
    let dataplane = stage.api.get("stunner.l7mp.io/v1/Dataplane icetester-dataplane");
    assert_eq!(dataplane["spec"]["resources"]["limits"]["memory"], "256Mi");
    assert_eq!(
        (&dataplane["spec"]["image"], &dataplane["spec"]["terminationGracePeriodSeconds"]),
        (&"stunnerd".into(), &0.into())
    );

    run.signal("INT");
    assert_eq!(run.await_exit_until(Deadline::after(Duration::from_secs(90))).code(), Some(130));
    run.await_line("ICE tester stopped due to user interrupt");
    stage.assert_nothing_is_left(namespace);
    assert!(stage.api.find(&format!("v1/Namespace {namespace}")).is_none());
    assert!(stage.api.find("stunner.l7mp.io/v1/Dataplane default").is_some());
}

#[test]
fn icetest_removes_nothing_but_what_an_icetest_has_made() {
    let Some(stage) = Stage::set() else { return };
    let (foreign, left, fresh) = ("icetest-foreign", "icetest-left", "icetest-fresh");
    let api = stage.api.clone();
    let _players = Players::start(move || [left, fresh].iter().for_each(|name| play_controller(&api, name)));

    stage.api.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {foreign}}}}}"));
    let (code, problem) = stage.fail(foreign, "--force-cleanup");
    assert_eq!(code, Some(1), "{problem}");
    assert!(problem.contains("Namespace icetest-foreign exists, and no icetest has made it"), "{problem}");
    assert!(
        problem.contains("Diagnostics: it is never removed: choose another namespace with -n"),
        "{problem}"
    );
    let untouched = stage.api.get(&format!("v1/Namespace {foreign}"));
    assert!(untouched["metadata"]["deletionTimestamp"].is_null());

    // What an earlier one has left is in the way, and goes when that is asked for.
    stage.api.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {left}, labels: {{{LABEL}: '1'}}}}}}"
    ));
    let class = format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {{name: icetest-gatewayclass, labels: \
         {{{LABEL}: '1'}}}}, spec: {{controllerName: example.com/nobody}}}}"
    );
    stage.api.apply(&class);
    let (code, problem) = stage.fail(fresh, "");
    assert_eq!(code, Some(1), "{problem}");
    assert!(
        problem.contains("GatewayClass icetest-gatewayclass exists") && problem.contains("--force-cleanup"),
        "{problem}"
    );
    assert!(stage.api.find("gateway.networking.k8s.io/v1/GatewayClass icetest-gatewayclass").is_some());
    // Nobody runs the backend here, so this one ends by its own time; with nothing left, of the earlier one neither.
    let (code, problem) = stage.fail(fresh, "--force-cleanup --timeout 5s");
    assert_eq!(code, Some(1), "{problem}");
    assert!(problem.contains("ICE tester timed out after 5s"), "{problem}");
    for namespace in [left, fresh] {
        stage.assert_nothing_is_left(namespace);
        assert!(stage.api.find(&format!("v1/Namespace {namespace}")).is_none(), "{namespace}");
    }

    stage.api.delete("stunner.l7mp.io/v1/Dataplane default");
    let (code, problem) = stage.fail(fresh, "");
    assert!(code == Some(1) && problem.contains("there is no Dataplane default"), "{problem}");
    stage.assert_nothing_is_left(fresh);
    let (code, problem) = stage.fail(fresh, "sctp");
    assert!(code == Some(2) && problem.contains("write udp, tcp"), "{problem}");
}

#[test]
fn icetest_is_interrupted_while_it_waits_for_its_pod() {
    let Some(stage) = Stage::set() else { return };
    let namespace = "icetest-waiting";
    let api = stage.api.clone();
    let _players = Players::start(move || play_controller(&api, namespace));
    let mut run = Process::spawn(stage.command(namespace, "udp"));
    stage.api.await_object(&format!("v1/Pod {namespace}/icetest-backend"), "there", |_| true);
    let gateway = |transport: &str| {
        format!("gateway.networking.k8s.io/v1/Gateway {namespace}/icetest-{transport}-gateway")
    };
    assert!(stage.api.find(&gateway("udp")).is_some() && stage.api.find(&gateway("tcp")).is_none());
    run.terminate();
    assert_eq!(run.await_exit_until(Deadline::after(Duration::from_secs(90))).code(), Some(130));
    run.await_line("ICE tester stopped due to user interrupt");
    stage.assert_nothing_is_left(namespace);
    assert!(stage.api.find(&format!("v1/Namespace {namespace}")).is_none());
}
