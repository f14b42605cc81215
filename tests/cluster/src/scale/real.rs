use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cds::{Event, Scope};
use futures_util::{StreamExt as _, stream};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;
use tokio::{runtime::Runtime, sync::oneshot};

use super::{
    figures::{head, memory, millis, most_memory, processor, say, spread},
    objects,
};
use crate::{GatewayApi, Operator, Options, Server, clock};

/// Objects written at a time by the one who sets the scene.
const WRITERS: usize = 16;

/// Between two changes of endpoints.
const PAUSE: Duration = Duration::from_millis(100);

/// How long nothing happens, to see what that costs.
const QUIET: Duration = Duration::from_secs(60);

/// What there is to say of no writes.
const NONE: &str = "none";

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a change is awaited by: the Gateway's number, the address, and where to tell when it came.
type Awaited = Arc<Mutex<BTreeMap<usize, (String, oneshot::Sender<Instant>)>>>;

pub(super) fn measure(gateways: usize, changes: usize) {
    let Some(server) = Server::start(GatewayApi::Current) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    head(&format!("{gateways} Gateways on a real API server, {} endpoints", gateways * objects::ENDPOINTS));
    let client = server.client(&runtime);
    runtime.block_on(create(&client, objects::shared()));
    runtime.block_on(create(&client, (0..gateways).flat_map(objects::own).collect()));

    let options = Options {
        controller: objects::CONTROLLER.to_owned(),
        flags: ["--throttle-timeout=250ms", "--log=all:INFO"].map(str::to_owned).to_vec(),
        discovery: None,
    };
    let started = clock::now();
    let first = Operator::start(&server, &options);
    await_ready(&first);
    say("from the first start to configurations being served", millis(clock::since(started)));
    // Nothing is under way before the first plan is made, either.
    while operations(&first) == NONE {
        std::thread::sleep(Duration::from_millis(50));
    }
    await_written(&first);
    say("until everything is written", millis(clock::since(started)));
    say("writes", operations(&first));
    drop(first);

    let started = clock::now();
    let operator = Operator::start(&server, &options);
    await_ready(&operator);
    say("from another start to configurations being served", millis(clock::since(started)));
    say("of which the rendering", rendering(&operator));
    await_written(&operator);
    say("writes after it", operations(&operator));
    let process = operator.process().id();
    let before = processor(process);
    std::thread::sleep(QUIET);
    let quiet = (processor(process) - before).as_secs_f64() / QUIET.as_secs_f64() * 100.0;
    say("processor when nothing happens", format!("{quiet:.2} %"));
    let before = processor(process);
    follow(&runtime, &client, &operator, gateways, changes);
    let spent = processor(process) - before;
    say("processor for each of those changes", millis(spent / u32::try_from(changes).unwrap_or(1)));
    say("memory of the operator", format!("{:.0} MiB, at most {:.0}", memory(process), most_memory(process)));
}

/// Creates objects, many at a time.
async fn create(client: &Client, objects: Vec<Value>) {
    let writes = stream::iter(objects).map(|object| apply(client, object)).buffer_unordered(WRITERS);
    writes.collect::<Vec<()>>().await;
}

async fn apply(client: &Client, object: Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &text(&object["kind"])));
    let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let api: Api<DynamicObject> = if namespace.is_empty() {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), &namespace, &resource)
    };
    let params = PatchParams::apply("scale").force();
    let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
    applied.unwrap_or_else(|error| panic!("{namespace}/{name}: {error}"));
}

/// With so much to read and a machine that may be busy, this takes longer than in tests.
fn await_ready(operator: &Operator) {
    let started = clock::now();
    while operator.probe("/readyz").0 != 200 {
        assert!(clock::since(started) < PATIENCE, "{}", operator.probe("/readyz").1);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn await_written(operator: &Operator) {
    let started = clock::now();
    let mut quiet = 0;
    while quiet < 20 {
        let metrics = operator.metrics();
        let is_idle = ["queue_length", "failing_writes"]
            .iter()
            .all(|name| metrics.lines().any(|line| line == format!("stunner_gateway_operator_{name} 0")));
        quiet = if is_idle { quiet + 1 } else { 0 };
        assert!(clock::since(started) < PATIENCE, "{metrics}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Writes by what came of them.
fn operations(operator: &Operator) -> String {
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for line in operator.metrics().lines().filter(|line| line.contains("resource_operations_total{")) {
        let operation = line.split("operation=\"").nth(1).and_then(|rest| rest.split('"').next());
        let number = line.rsplit(' ').next().and_then(|text| text.parse::<u64>().ok());
        *counted.entry(operation.unwrap_or_default().to_owned()).or_default() += number.unwrap_or_default();
    }
    if counted.is_empty() {
        return NONE.to_owned();
    }
    counted.iter().map(|(operation, number)| format!("{number} {operation}")).collect::<Vec<_>>().join(", ")
}

fn rendering(operator: &Operator) -> String {
    let metrics = operator.metrics();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        line.and_then(|text| text.parse::<f64>().ok()).unwrap_or_default()
    };
    let sum = value("stunner_gateway_operator_render_time_seconds_sum");
    let count = value("stunner_gateway_operator_render_time_seconds_count");
    format!("{:.1} ms ({count} renderings)", sum * 1e3)
}

/// Changes endpoints one after the other, with a watcher on every Gateway, and says how long news take.
fn follow(runtime: &Runtime, client: &Client, operator: &Operator, gateways: usize, changes: usize) {
    let awaited = Awaited::default();
    let origin: cds::Origin = format!("http://{}", operator.discovery_address()).parse().expect("an origin");
    runtime.block_on(async {
        for at in 0..gateways {
            let scope: Scope = objects::gateway_id(at).parse().expect("an id");
            let watch = cds::watch(&origin, scope, cds::Options::default()).expect("a watch");
            tokio::spawn(read(watch, at, Arc::clone(&awaited)));
        }
        while watchers(operator) < gateways {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (mut from_request, mut from_answer) = (Vec::new(), Vec::new());
        for change in 1..=changes {
            // A prime apart, so that neighbours are not neighbours.
            let at = change * 7919 % gateways;
            let (sender, arrival) = oneshot::channel();
            let marker = objects::marker(change);
            awaited.lock().unwrap_or_else(PoisonError::into_inner).insert(at, (marker, sender));
            let sent = clock::now();
            apply(client, objects::slice(at, change)).await;
            let answered = clock::now();
            let arrived = tokio::time::timeout(PATIENCE, arrival).await.expect("in time").expect("a frame");
            from_request.push(arrived - sent);
            from_answer.push(arrived.saturating_duration_since(answered));
            tokio::time::sleep(PAUSE).await;
        }
        let without = |times: &[Duration]| {
            times.iter().map(|time| time.saturating_sub(Duration::from_millis(250))).collect::<Vec<_>>()
        };
        say("from a change of endpoints, as sent, to the frame", spread(from_request.clone()));
        say("the same without the debounce of 250 ms", spread(without(&from_request)));
        say("the same from the API server's answer on", spread(without(&from_answer)));
    });
}

fn watchers(operator: &Operator) -> usize {
    let metrics = operator.metrics();
    let line =
        metrics.lines().find_map(|line| line.strip_prefix("stunner_gateway_operator_discovery_watchers "));
    line.and_then(|number| number.parse().ok()).unwrap_or_default()
}

async fn read(mut watch: cds::Watch, at: usize, awaited: Awaited) {
    while let Some(event) = watch.next().await {
        let Event::Config(config) = event else { continue };
        let arrived = clock::now();
        let mut awaited = awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |marker: &String| config.clusters.iter().any(|cluster| cluster.endpoints.contains(marker));
        if awaited.get(&at).is_some_and(|(marker, _)| has(marker))
            && let Some((_, sender)) = awaited.remove(&at)
        {
            let _ = sender.send(arrived);
        }
    }
}
