//! Several thousand watchers of one server: who reads is told at once, who does not costs little and delays nobody. In a
//! program of its own, because its memory is looked at.

use std::{net::SocketAddr, time::Duration};

use cds::{Store, server::Server};
use config::{Auth, Config, Credentials};
use futures_util::StreamExt as _;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest as _, protocol::WebSocketConfig},
};
use tokio_util::sync::CancellationToken;

/// Watchers that read, if the machine lets one program have that many sockets, of which each takes two.
const WATCHERS: usize = 2000;

/// Watchers of everything that never read.
const STALLED: usize = 20;

/// Memory for each watcher, both ends of it, in KiB. What the libraries have by default is 256.
const EACH: usize = 48;

/// The gateway that half of the watchers watch; the others have one each.
const SHARED: &str = "a/shared";

/// Longest wait for something that does happen.
const SOON: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<TcpStream>;

#[tokio::test]
async fn w15_thousands_of_watchers_are_told_and_those_that_read_nothing_delay_nobody() {
    let files = net::limit::raise_open_files().expect("a limit");
    let watchers = WATCHERS.min(usize::try_from(files).expect("a number") / 2 - STALLED - 100);
    let store = Store::new();
    let own = |at: usize| if at.is_multiple_of(2) { SHARED.to_owned() } else { format!("b/x{at}") };
    let ids = || (1..watchers).step_by(2).map(own).chain([SHARED.to_owned()]);
    store.update(ids().map(|id| (id.clone(), Some(config(&id, "first")))));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    // Nobody is given up meanwhile.
    let server = Server::new(store.clone()).write_deadline(Duration::from_secs(600)).shutdown(stop.clone());
    let server = tokio::spawn(server.serve(listener));

    let before = memory();
    let mut sockets = Vec::new();
    for at in 0..watchers {
        let mut socket = connect(address, &format!("/{}", own(at))).await;
        assert_eq!(next(&mut socket).await, config(&own(at), "first").to_json());
        sockets.push(socket);
    }
    let each = memory().saturating_sub(before) / watchers;
    assert!(each < EACH, "a watcher takes {each} KiB");

    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(connect(address, "").await);
    }
    // More than fits into a connection whose other end does not read.
    let before = memory();
    let long = "x".repeat(1 << 20);
    for round in 0..10 {
        store.insert("c/long", config("c/long", &format!("{round}{long}")));
        store.insert(SHARED, config(SHARED, &round.to_string()));
        for socket in sockets.iter_mut().step_by(2) {
            assert_eq!(next(socket).await, config(SHARED, &round.to_string()).to_json());
        }
    }
    // Each of them holds the one frame that it is being sent, and they are sent the same few.
    let held = memory().saturating_sub(before) >> 10;
    assert!(held < 100, "those that read nothing hold {held} MiB");
    assert_eq!(store.watchers(), watchers + STALLED);

    store.update(ids().map(|id| (id.clone(), Some(config(&id, "last")))));
    for (at, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(next(socket).await, config(&own(at), "last").to_json());
    }
    store.update(ids().map(|id| (id, None)));
    for (at, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(next(socket).await, Config::zero_json(&own(at)));
    }
    stop.cancel();
    for mut socket in stalled {
        // Resets connections whose frames nobody is going to read.
        socket.get_mut().shutdown().await.ok();
        drop(socket);
    }
    drop(sockets);
    tokio::time::timeout(SOON, server).await.expect("in time").expect("no panic").expect("no failure");
}

/// Where the libraries on this side have as little room as on the other one.
async fn connect(address: SocketAddr, of: &str) -> Socket {
    let request = format!("ws://{address}/api/v1/configs{of}?watch=true").into_client_request().expect("one");
    let stream = TcpStream::connect(address).await.expect("a connection");
    let room = WebSocketConfig::default().read_buffer_size(1 << 10);
    client_async_with_config(request, stream, Some(room)).await.expect("an upgrade").0
}

async fn next(socket: &mut Socket) -> String {
    match tokio::time::timeout(SOON, socket.next()).await.expect("a frame in time") {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

fn config(id: &str, realm: &str) -> Config {
    let auth =
        Auth { realm: realm.to_owned(), credentials: Credentials::for_user("u", "p"), ..Auth::default() };
    let mut config = Config { auth, ..Config::default() };
    config.admin.name = id.to_owned();
    config
}

/// Resident memory of this program, in KiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.split_whitespace().next().and_then(|text| text.parse().ok()).expect("a number")
}
