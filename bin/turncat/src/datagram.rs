//! Clients that share one datagram socket, told apart by their addresses.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::net::{UdpSocket, UnixDatagram};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::bridge::Client;
use crate::session::Session;

/// Clients at a time: each has a port on the server.
const MAX_CLIENTS: usize = 1024;

/// Packets that may wait for an allocation, of each client.
const WAITING: usize = 256;

/// A socket on which many clients are.
pub(crate) trait Socket: Send + Sync + 'static {
    /// How a client is told from others.
    type Address: Clone + Eq + Hash + Send + Sync + std::fmt::Debug + 'static;

    /// Waits for a datagram.
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<(usize, Self::Address)>> + Send;

    /// Sends one to a client.
    fn send(&self, payload: &[u8], to: &Self::Address) -> impl Future<Output = io::Result<()>> + Send;
}

impl Socket for UdpSocket {
    type Address = SocketAddr;

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buffer).await
    }

    async fn send(&self, payload: &[u8], to: &SocketAddr) -> io::Result<()> {
        self.send_to(payload, to).await.map(drop)
    }
}

impl Socket for UnixDatagram {
    /// `None` for clients that bound their socket to no path: they get no answers.
    type Address = Option<PathBuf>;

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<PathBuf>)> {
        let (len, from) = self.recv_from(buffer).await?;
        Ok((len, from.as_pathname().map(Into::into)))
    }

    async fn send(&self, payload: &[u8], to: &Option<PathBuf>) -> io::Result<()> {
        match to {
            Some(path) => self.send_to(payload, path).await.map(drop),
            None => Ok(()),
        }
    }
}

/// One client of a shared socket.
struct DatagramClient<S: Socket> {
    socket: Arc<S>,
    address: S::Address,
    arrived: mpsc::Receiver<Box<[u8]>>,
}

impl<S: Socket> Client for DatagramClient<S> {
    async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(self.arrived.recv().await.map(|packet| {
            buffer[..packet.len()].copy_from_slice(&packet);
            packet.len()
        }))
    }

    async fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.socket.send(payload, &self.address).await
    }

    fn goes_silently(&self) -> bool {
        true
    }

    fn comes_back(&mut self) -> bool {
        if self.arrived.is_empty() {
            // What comes from now on gets another session.
            self.arrived.close();
        }
        !self.arrived.is_empty()
    }
}

/// Gives each client of the socket a session, until the session's program is to end.
pub(crate) async fn serve<S: Socket>(socket: S, session: Session) -> io::Result<()> {
    let socket = Arc::new(socket);
    let mut clients: HashMap<S::Address, mpsc::Sender<Box<[u8]>>> = HashMap::new();
    let mut sessions = JoinSet::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let received = tokio::select! {
            () = session.stop.cancelled() => break,
            Some(ended) = sessions.join_next() => {
                // Its packets may have given the same client a new session meanwhile.
                if let Ok(address) = ended
                    && clients.get(&address).is_some_and(mpsc::Sender::is_closed)
                {
                    clients.remove(&address);
                }
                continue;
            }
            received = socket.receive(&mut buffer) => received,
        };
        let (len, address) = match received {
            Ok(received) => received,
            // What ICMP says about an answer to one client.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        let known = clients.get(&address).filter(|client| !client.is_closed());
        let client = match known {
            Some(client) => client,
            None if sessions.len() >= MAX_CLIENTS => {
                session.totals.dropped.fetch_add(1, Relaxed);
                tracing::warn!(target: "turncat", "more than {MAX_CLIENTS} clients: a new one is ignored");
                continue;
            }
            None => {
                let (sender, arrived) = mpsc::channel(WAITING);
                let client =
                    DatagramClient { socket: Arc::clone(&socket), address: address.clone(), arrived };
                let (session, ended) = (session.clone(), address.clone());
                sessions.spawn(async move {
                    let name = format!("{ended:?}");
                    session.run_reporting(client, &name).await;
                    ended
                });
                clients.entry(address.clone()).insert_entry(sender).into_mut()
            }
        };
        if client.try_send(buffer[..len].into()).is_err() {
            session.totals.dropped.fetch_add(1, Relaxed);
        }
    }
    while sessions.join_next().await.is_some() {}
    Ok(())
}
