use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use cds::{Event, Scope, Store, server::Server};
use config::{Cluster, Config};
use tokio::{net::TcpListener, sync::mpsc};

use super::{
    figures::{head, memory, millis, processor, say, spread},
    objects,
};
use crate::clock;

/// Changes of one Gateway each.
const CHANGES: usize = 200;

/// Changes of a Gateway that all watch.
const SHARED_CHANGES: usize = 20;

/// Watchers of everything, which do nothing but read.
const WIDE: usize = 50;

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(50);

/// Until the first frames are on their way.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) fn measure(lively: usize, stalled: usize) {
    // Both ends of each connection are in this process.
    let files = net::limit::raise_open_files().expect("a limit");
    assert!(
        files as usize > 4 * lively + 2 * stalled + 100,
        "{files} open files are allowed, which is not enough"
    );
    head(&format!("Config discovery with {lively} watchers that are connected and no more"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(hold(lively));
    drop(runtime);
    for (title, stalled) in [("all of whom read", 0), ("and more who read nothing", stalled)] {
        head(&format!("Config discovery with {lively} watchers, {title} ({stalled})"));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(lively, stalled));
    }
}

/// A server with a configuration for each of so many Gateways.
async fn serve(gateways: usize) -> (Store, SocketAddr) {
    let store = Store::new();
    for at in 0..gateways {
        store.insert(objects::gateway_id(at), configuration(at, 0));
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(Server::new(store.clone()).serve(listener));
    (store, address)
}

/// What the server has for each watcher; their own ends are sockets and nothing else.
async fn hold(watchers: usize) {
    let (store, address) = serve(watchers).await;
    let process = std::process::id();
    let before = memory(process);
    let started = clock::now();
    let paths: Vec<_> = (0..watchers).map(|at| format!("/{}", objects::gateway_id(at))).collect();
    let sleepers = tokio::task::spawn_blocking(move || {
        paths.iter().map(|path| sleeper(address, path)).collect::<Vec<_>>()
    });
    let sleepers = sleepers.await.expect("connections");
    while store.watchers() < watchers {
        tokio::time::sleep(PAUSE).await;
    }
    say("until all are connected, one after the other", millis(clock::since(started)));
    tokio::time::sleep(SETTLE).await;
    let each = (memory(process) - before) * 1024.0 / watchers as f64;
    say("memory of the server for each", format!("{each:.1} KiB"));
    drop(sleepers);
}

async fn run(lively: usize, stalled: usize) {
    let (store, address) = serve(lively).await;
    let sleepers =
        tokio::task::spawn_blocking(move || (0..stalled).map(|_| sleeper(address, "")).collect::<Vec<_>>());
    let _sleepers = sleepers.await.expect("connections");
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    let origin: Arc<cds::Origin> = Arc::new(format!("http://{address}").parse().expect("an origin"));
    for at in 0..lively {
        let scope: Scope = objects::gateway_id(at).parse().expect("an id");
        let watch = cds::watch(&origin, scope, cds::Options::default()).expect("a watch");
        tokio::spawn(read(watch, at, sender.clone()));
    }
    for _ in 0..lively {
        arrivals.recv().await.expect("the first frame of each");
    }
    let process = std::process::id();
    let (before, memory_before) = (processor(process), memory(process));
    let mut times = Vec::new();
    for change in 1..=CHANGES {
        let at = change * 7919 % lively;
        let started = clock::now();
        store.insert(objects::gateway_id(at), configuration(at, change));
        loop {
            let (from, arrived): (usize, Instant) = arrivals.recv().await.expect("a frame");
            if from == at {
                times.push(arrived - started);
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    say("from a change to its frame at its watcher", spread(times));
    let started = clock::now();
    let all = (0..lively).map(|at| (objects::gateway_id(at), Some(configuration(at, CHANGES + 1))));
    store.update(all);
    for _ in 0..lively {
        arrivals.recv().await.expect("a frame");
    }
    say("all Gateways change at once: until the last watcher has its frame", millis(clock::since(started)));
    shared(&store, address, lively).await;
    wide(&store, address, lively).await;
    say("processor, server and watchers together", millis(processor(process) - before));
    say(
        "memory, both ends, more than at the beginning",
        format!("{:.1} MiB", memory(process) - memory_before),
    );
}

/// All of them watch the same Gateway.
async fn shared(store: &Store, address: SocketAddr, watchers: usize) {
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    let origin: cds::Origin = format!("http://{address}").parse().expect("an origin");
    let id = objects::gateway_id(0);
    for at in 0..watchers {
        let watch =
            cds::watch(&origin, id.parse().expect("an id"), cds::Options::default()).expect("a watch");
        tokio::spawn(read(watch, at, sender.clone()));
    }
    for _ in 0..watchers {
        arrivals.recv().await.expect("the first frame of each");
    }
    let mut times = Vec::new();
    for change in 2..=SHARED_CHANGES {
        let started = clock::now();
        store.insert(&*id, configuration(0, CHANGES + change));
        for _ in 0..watchers {
            arrivals.recv().await.expect("a frame");
        }
        times.push(clock::since(started));
        tokio::time::sleep(PAUSE).await;
    }
    say("a Gateway that all watch changes: until the last watcher has its frame", spread(times));
}

/// Some watch everything, and everything changes.
async fn wide(store: &Store, address: SocketAddr, gateways: usize) {
    let change = CHANGES + SHARED_CHANGES + 1;
    let all = || (0..gateways).map(|at| (objects::gateway_id(at), configuration(at, change)));
    // Gateways have had other changes before, with texts of the same length.
    let length = all().map(|(_, config)| FRAME_HEAD + config.to_json().len()).sum();
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    for _ in 0..WIDE {
        let mut stream =
            tokio::task::spawn_blocking(move || sleeper(address, "")).await.expect("a connection");
        let sender = sender.clone();
        std::thread::spawn(move || {
            drain_head(&mut stream);
            let mut buffer = vec![0; 64 << 10];
            for _ in 0..2 {
                let mut left: usize = length;
                while left > 0 {
                    let room = left.min(buffer.len());
                    left -= stream.read(&mut buffer[..room]).expect("a connection that lasts");
                }
                sender.send(()).expect("somebody who counts");
            }
        });
    }
    for _ in 0..WIDE {
        arrivals.recv().await.expect("everything there is");
    }
    let (started, before) = (clock::now(), processor(std::process::id()));
    store.update(all().map(|(id, config)| (id, Some(config))));
    for _ in 0..WIDE {
        arrivals.recv().await.expect("everything that has changed");
    }
    say(
        &format!("all Gateways change: until {WIDE} watchers of everything have it"),
        millis(clock::since(started)),
    );
    say("processor for that", millis(processor(std::process::id()) - before));
}

/// Length of what comes before the text of a frame.
const FRAME_HEAD: usize = 4;

fn drain_head(stream: &mut TcpStream) {
    let mut last = [0; 4];
    while last != *b"\r\n\r\n" {
        last.rotate_left(1);
        stream.read_exact(&mut last[3..]).expect("a head");
    }
}

fn configuration(at: usize, change: usize) -> Config {
    let id = objects::gateway_id(at);
    let endpoints = (0..objects::ENDPOINTS).map(|host| format!("10.0.{}.{host}", at % 256));
    let cluster = Cluster {
        name: id.clone(),
        endpoints: endpoints.chain([objects::marker(change)]).collect(),
        ..Cluster::default()
    };
    let mut config = Config { clusters: vec![cluster], ..Config::zero(&id) };
    config.admin.name = id;
    config
}

/// A watcher that never reads.
fn sleeper(address: SocketAddr, of: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a server");
    let request = format!(
        "GET /api/v1/configs{of}?watch=true HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    // The first byte says that the answer is on its way.
    stream.read_exact(&mut [0]).expect("an answer");
    stream
}

async fn read(mut watch: cds::Watch, at: usize, arrivals: mpsc::UnboundedSender<(usize, Instant)>) {
    while let Some(event) = watch.next().await {
        if matches!(event, Event::Config(_)) && arrivals.send((at, clock::now())).is_err() {
            return;
        }
    }
}
