//! What the tests share.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use cds::{Event, Options, Origin, Scope, Store, Timing, Watch, server::Server};
use config::{Auth, Config, Credentials, Listener};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Longest wait for something that does happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A valid configuration that can be told from others by its realm.
pub(crate) fn config(id: &str, realm: &str) -> Config {
    let listener = Listener { name: format!("{id}/l"), address: "10.0.0.1".into(), ..Listener::default() };
    let config = Config {
        auth: Auth {
            realm: realm.to_owned(),
            credentials: Credentials::for_user("u", "p"),
            ..Auth::default()
        },
        listeners: vec![listener],
        ..Config::default()
    };
    let mut config = config.validate().expect("valid");
    config.admin.name = id.to_owned();
    config
}

/// No variables, no waiting.
pub(crate) fn options() -> Options {
    let short = Duration::from_millis(20);
    let timing = Timing { retry: short, ping: short, settle: short, ..Timing::default() };
    Options { environment: Arc::new(|_| None), timing, ..Options::default() }
}

/// A discovery server on a port of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn start(store: &Store) -> Self {
        Self::start_with(Server::new(store.clone()), 0).await
    }

    pub(crate) async fn start_with(server: Server, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
        let address = listener.local_addr().expect("address");
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.shutdown(shutdown.clone()).serve(listener));
        Self { address, shutdown, task }
    }

    pub(crate) fn origin(&self) -> Origin {
        format!("http://{}", self.address).parse().expect("origin")
    }

    pub(crate) async fn load(&self, scope: &Scope) -> Result<Vec<Config>, cds::Error> {
        cds::load(&self.origin(), scope, &options()).await
    }

    pub(crate) fn watch(&self, scope: Scope) -> Watch {
        cds::watch(&self.origin(), scope, options()).expect("watch")
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic").expect("no failure");
    }
}

/// A single gateway.
pub(crate) fn gateway(id: &str) -> Scope {
    id.parse().expect("id")
}

/// The next event, which has to come.
pub(crate) async fn event(watch: &mut Watch) -> Event {
    tokio::time::timeout(SOON, watch.next()).await.expect("an event").expect("no end")
}

/// The next configuration, by id and realm. Nothing else may come before it but the end of a synchronisation.
pub(crate) async fn told(watch: &mut Watch) -> (String, String) {
    loop {
        match event(watch).await {
            Event::Config(config) => return (config.admin.name, config.auth.realm),
            Event::Synced => {}
            Event::Deleted(id) => panic!("{id} deleted"),
        }
    }
}

pub(crate) fn pair(id: &str, realm: &str) -> (String, String) {
    (id.to_owned(), realm.to_owned())
}

/// Everything up to the end of a synchronisation, in order of the ids.
pub(crate) async fn told_until_synced(watch: &mut Watch) -> Vec<(String, String)> {
    let mut all = Vec::new();
    loop {
        match event(watch).await {
            Event::Config(config) => all.push((config.admin.name, config.auth.realm)),
            Event::Synced => break,
            Event::Deleted(id) => panic!("{id} deleted"),
        }
    }
    all.sort();
    all
}
