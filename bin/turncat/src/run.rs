//! From the command line to the end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use client::{Dialer, Family, Server, Trust};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener, lookup_host};
use tokio::task::JoinSet;

use crate::cli::{Cli, Client, complain};
use crate::session::Session;
use crate::statistics::Totals;
use crate::stream::StreamClient;
use crate::{datagram, gateway};

/// Serves clients until a signal says that it is enough; the one on standard input until it is done.
///
/// # Errors
/// The server or the peer cannot be found, the client's socket not be bound, or the client on standard input got no
/// allocation.
pub(crate) async fn run(cli: &Cli) -> Result<()> {
    let stop = signals::stop_on_signal()?;
    let found = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        found = async { Ok::<_, anyhow::Error>((gateway::find(cli).await?, peer(&cli.peer.0).await?)) } => found?,
    };
    let ((server, login), peer) = found;
    let trust = Trust { insecure: cli.insecure, server_name: cli.sni.clone(), authorities: Vec::new() };
    let family = if peer.is_ipv4() { Family::V4 } else { Family::V6 };
    let dialer = Dialer { trust, family, ..Dialer::new(server.clone(), login) };
    let totals = Arc::new(Totals::default());
    let session = Session {
        dialer: Arc::new(dialer),
        peer,
        linger: cli.linger,
        idle: cli.idle,
        reconnect: cli.reconnect,
        totals: Arc::clone(&totals),
        stop,
    };
    let announcing = Announcing { server, peer };
    let end = tokio::select! {
        end = serve(&cli.client, session, &announcing) => end,
        never = print_regularly(cli.statistics, &totals) => never,
    };
    if cli.statistics.is_some() {
        complain(&totals.to_string());
    }
    end
}

/// What to say when clients can come.
struct Announcing {
    server: Server,
    peer: SocketAddr,
}

impl Announcing {
    fn announce(&self, client: &str) {
        let Self { server, peer } = self;
        tracing::info!(
            target: "turncat",
            "client listening on {client}, TURN server: {server}, peer: udp:{peer}"
        );
    }
}

async fn serve(client: &Client, session: Session, announcing: &Announcing) -> Result<()> {
    match client {
        Client::Standard => {
            announcing.announce("-");
            let streams = StreamClient { reader: tokio::io::stdin(), writer: tokio::io::stdout() };
            session.run(streams, "-").await
        }
        Client::Udp(address) => {
            let socket = UdpSocket::bind(address).await.with_context(|| format!("udp://{address}"))?;
            announcing.announce(&format!("udp:{}", socket.local_addr()?));
            Ok(datagram::serve(socket, session).await?)
        }
        Client::Tcp(address) => {
            let listener = TcpListener::bind(address).await.with_context(|| format!("tcp://{address}"))?;
            announcing.announce(&format!("tcp:{}", listener.local_addr()?));
            let accept = async || {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (reader, writer) = stream.into_split();
                Ok((StreamClient { reader, writer }, from.to_string()))
            };
            accept_all(accept, session).await
        }
        Client::Unix(path) => {
            let listener = UnixListener::bind(path).with_context(|| at_path(path))?;
            let _file = Removed(path);
            announcing.announce(&format!("unix:{}", path.display()));
            let mut number = 0_u64;
            let accept = async || {
                let (stream, _) = listener.accept().await?;
                number += 1;
                let (reader, writer) = stream.into_split();
                Ok((StreamClient { reader, writer }, format!("{}#{number}", path.display())))
            };
            accept_all(accept, session).await
        }
        Client::Unixgram(path) => {
            let socket = UnixDatagram::bind(path).with_context(|| at_path(path))?;
            let _file = Removed(path);
            announcing.announce(&format!("unixgram:{}", path.display()));
            Ok(datagram::serve(socket, session).await?)
        }
    }
}

fn at_path(path: &Path) -> String {
    format!("{}: a file of that name has to be removed first", path.display())
}

/// The file of a socket, which goes with it.
struct Removed<'p>(&'p Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

/// Gives each connection a session, until the program is to end.
async fn accept_all<C: crate::bridge::Client + 'static>(
    mut accept: impl AsyncFnMut() -> io::Result<(C, String)>,
    session: Session,
) -> Result<()> {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = session.stop.cancelled() => break,
            Some(_) = sessions.join_next() => {}
            accepted = accept() => match accepted {
                Ok((client, name)) => {
                    let session = session.clone();
                    sessions.spawn(async move { session.run_reporting(client, &name).await });
                }
                // The connection is gone again, or there are too many: neither is a reason to stop.
                Err(error) => {
                    tracing::warn!(target: "turncat", "cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    while sessions.join_next().await.is_some() {}
    Ok(())
}

async fn peer(name: &str) -> Result<SocketAddr> {
    let mut addresses = lookup_host(name).await.with_context(|| format!("cannot find the peer {name}"))?;
    let first = addresses.next().ok_or_else(|| anyhow!("the peer {name} has no address"))?;
    // Most gateways relay IPv4 only.
    Ok(if first.is_ipv4() { first } else { addresses.find(SocketAddr::is_ipv4).unwrap_or(first) })
}

async fn print_regularly(period: Option<Duration>, totals: &Totals) -> Result<()> {
    let Some(period) = period.filter(|period| !period.is_zero()) else { return std::future::pending().await };
    loop {
        tokio::time::sleep(period).await;
        complain(&totals.to_string());
    }
}
