//! Loading from and following any origin.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use config::Config;
use futures_util::Stream;
use http::StatusCode;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{access::Access, client, client::Timing, file, origin::Origin, wire::Scope};

/// Where the values of variables in configurations come from.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The environment of this process.
pub fn process_environment() -> Environment {
    Arc::new(|name| std::env::var(name).ok())
}

/// How to load or follow.
#[derive(Clone)]
pub struct Options {
    /// Name of the node that the client runs on. The server fills in the address of that node; only when asking for a
    /// single gateway.
    pub node: Option<String>,
    /// Whether to leave out [`Event::Deleted`].
    pub suppress_deletions: bool,
    /// Whether certificates and keys of TLS listeners matter. Where they do not they are left out, and a configuration
    /// whose certificates cannot be loaded is as good as any.
    pub certificates: bool,
    /// What variables in configurations stand for.
    pub environment: Environment,
    /// How the server is reached.
    pub access: Access,
    /// Periods and deadlines.
    pub timing: Timing,
}

impl Default for Options {
    /// No node, deletions are told, certificates matter, the environment of this process, and the timing of the
    /// original.
    fn default() -> Self {
        Self {
            node: None,
            suppress_deletions: false,
            certificates: true,
            environment: process_environment(),
            access: Access::default(),
            timing: Timing::default(),
        }
    }
}

impl Options {
    /// Reads a configuration the way these options want it.
    pub(crate) fn parse(&self, document: &str) -> Result<Config, config::Error> {
        let parse = if self.certificates { Config::parse } else { Config::parse_without_certificates };
        parse(document, &*self.environment)
    }
}

/// What comes out of a [`Watch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A gateway, named by [`config::Admin::name`], is new or has another configuration.
    Config(Box<Config>),
    /// The gateway of this id is gone.
    Deleted(String),
    /// Whatever there was when the origin was reached has been told. Comes again after every loss of connection.
    Synced,
}

/// Why a configuration cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file has nothing in it.
    #[error("{} is empty", .0.display())]
    EmptyFile(PathBuf),
    /// The server is not there.
    #[error("cannot connect to {authority}: {error}")]
    Connect {
        /// Where it should be.
        authority: String,
        /// What the system says.
        error: io::Error,
    },
    /// The server broke the rules of HTTP, or the connection off.
    #[error("the server broke off: {0}")]
    Http(#[from] hyper::Error),
    /// The path is none.
    #[error("cannot ask for that: {0}")]
    Target(http::Error),
    /// The answer is too long or breaks off.
    #[error("cannot read the answer: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The server refuses.
    #[error("HTTP error (status: {status}): {body}")]
    Status {
        /// Its answer in short.
        status: StatusCode,
        /// Its answer at length.
        body: String,
    },
    /// The answer is no list of configurations.
    #[error("cannot read the answer: {0}")]
    List(#[from] serde_json::Error),
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Something did not happen in time.
    #[error("no sign of {what} from the server for {deadline:?}")]
    Deadline {
        /// What did not happen.
        what: &'static str,
        /// How long that may take.
        deadline: Duration,
    },
    /// The server broke the rules of WebSockets, or the connection off.
    #[error("cannot follow the discovery server: {0}")]
    WebSocket(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    /// The server ended the connection.
    #[error("the discovery server closed the connection")]
    Closed,
    /// The server sends something else than text.
    #[error("the discovery server sent a binary frame")]
    BinaryFrame,
    /// The server's certificate is not trusted, or it does not speak TLS.
    #[error(
        "no TLS with {authority}: {error}; is the authority of its certificate given, and the name in it right?"
    )]
    Tls {
        /// Where it is.
        authority: String,
        /// What is wrong.
        error: io::Error,
    },
    /// The certificates of authorities are not usable.
    #[error("cannot use the certificate authority: {0}; write certificates in the PEM format")]
    Authority(String),
    /// The token has characters that tokens do not have.
    #[error("there is no token in {}", .0.display())]
    Token(PathBuf),
    /// The Kubernetes API is not available.
    #[error("discovery servers cannot be found through the Kubernetes API yet, name one as http://HOST:PORT")]
    Kubernetes,
    /// The folder of a file cannot be watched.
    #[error("cannot watch for changes of files: {0}")]
    Notify(#[from] notify::Error),
}

/// Loads the configurations of a scope once. A file has only one, whatever the scope.
///
/// # Errors
/// The origin cannot be reached, or one of the configurations is not valid.
pub async fn load(origin: &Origin, scope: &Scope, options: &Options) -> Result<Vec<Config>, Error> {
    match origin {
        Origin::File(path) => Ok(vec![file::load(path, options).await?]),
        Origin::Http(server) => client::load(server, scope, options).await,
        Origin::Kubernetes => Err(Error::Kubernetes),
    }
}

/// Follows the configurations of a scope. Needs a tokio runtime, which it runs a task on until the [`Watch`] is dropped.
/// A file has only one configuration, whatever the scope, and never loses it.
///
/// An origin that is not there, or configurations that are not valid, are logged and waited for.
///
/// # Errors
/// The origin is one that cannot be followed.
pub fn watch(origin: &Origin, scope: Scope, options: Options) -> Result<Watch, Error> {
    match origin {
        Origin::File(path) => file::watch(path.clone(), options),
        Origin::Http(server) => Ok(client::watch(server.clone(), scope, options)),
        Origin::Kubernetes => Err(Error::Kubernetes),
    }
}

/// News from an origin: a stream that does not end.
pub struct Watch {
    events: mpsc::Receiver<Event>,
    _task: DropGuard,
}

impl Watch {
    /// Runs `follower`, which sends events, as long as the watch exists.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(
        follower: impl FnOnce(mpsc::Sender<Event>) -> F,
    ) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        let (cancelled, follower) = (CancellationToken::new(), follower(sender));
        let task = cancelled.clone().run_until_cancelled_owned(follower);
        tokio::spawn(task);
        Self { events, _task: cancelled.drop_guard() }
    }

    /// Waits for the next event; nothing means that the runtime is shutting down.
    ///
    /// Dropping the future before it is ready loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Stream for Watch {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(context)
    }
}

/// Events that wait for the follower's owner before the follower has to wait, too.
const EVENTS: usize = 16;
