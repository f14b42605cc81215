//! Where a connection's packets go in and out: sockets of this host, and allocations on TURN servers. Each has a task
//! that carries packets between it and the connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use client::{Allocated, Incoming, Relay, RelayError};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Packets that may wait for a task. More are lost, as they are on the way.
const WAITING: usize = 1024;

/// A packet that arrived.
pub(crate) struct Packet {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) contents: Vec<u8>,
}

/// One way in and out.
pub(crate) struct Path {
    /// The address by which the other side knows it.
    pub(crate) address: SocketAddr,
    pub(crate) is_relay: bool,
    outgoing: mpsc::Sender<(SocketAddr, Vec<u8>)>,
}

impl Path {
    /// Sends a packet, or loses it.
    pub(crate) fn send(&self, to: SocketAddr, contents: Vec<u8>) {
        if self.outgoing.try_send((to, contents)).is_err() {
            tracing::debug!(target: "whip", "packet to {to} lost: too many wait");
        }
    }
}

/// A socket of this host.
pub(crate) async fn host(
    ip: IpAddr,
    arrived: mpsc::Sender<Packet>,
    stop: CancellationToken,
) -> io::Result<Path> {
    let socket = Arc::new(UdpSocket::bind((ip, 0)).await?);
    let address = socket.local_addr()?;
    let (outgoing, mut waiting) = mpsc::channel::<(SocketAddr, Vec<u8>)>(WAITING);
    let task = async move {
        let mut buffer = vec![0; 65_536];
        loop {
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    // Errors are what ICMP says about packets sent before.
                    let Ok((len, source)) = received else { continue };
                    let contents = buffer[..len].to_vec();
                    if arrived.send(Packet { source, destination: address, contents }).await.is_err() {
                        return;
                    }
                }
                Some((to, contents)) = waiting.recv() => {
                    if let Err(error) = socket.send_to(&contents, to).await {
                        tracing::debug!(target: "whip", "packet from {address} to {to} lost: {error}");
                    }
                }
            }
        }
    };
    tokio::spawn(async move { stop.run_until_cancelled(task).await });
    Ok(Path { address, is_relay: false, outgoing })
}

/// An allocation, which is given back when `stop` says so.
pub(crate) fn relay(mut relay: Relay, arrived: mpsc::Sender<Packet>, stop: CancellationToken) -> Path {
    let Allocated { relayed: address, .. } = relay.allocated();
    let (outgoing, mut waiting) = mpsc::channel::<(SocketAddr, Vec<u8>)>(WAITING);
    tokio::spawn(async move {
        let carried = stop.run_until_cancelled(carry(&mut relay, address, &arrived, &mut waiting)).await;
        if let Some(Err(error)) = carried {
            tracing::warn!(target: "whip", "the relay {address} is lost: {error}");
        }
        relay.close().await;
    });
    Path { address, is_relay: true, outgoing }
}

async fn carry(
    relay: &mut Relay,
    address: SocketAddr,
    arrived: &mpsc::Sender<Packet>,
    waiting: &mut mpsc::Receiver<(SocketAddr, Vec<u8>)>,
) -> Result<(), RelayError> {
    loop {
        tokio::select! {
            incoming = relay.next() => match incoming? {
                Incoming::Data(received) => {
                    let (source, contents) = (received.peer, received.payload.to_vec());
                    if arrived.send(Packet { source, destination: address, contents }).await.is_err() {
                        return Ok(());
                    }
                }
                Incoming::Event(client::Event::Refused { peer, failure }) => {
                    tracing::info!(target: "whip", "{} does not let us reach {peer}: {failure}", relay.server());
                }
                Incoming::Event(_) => {}
            },
            packet = waiting.recv() => {
                let Some((to, contents)) = packet else { return Ok(()) };
                relay.bind(to);
                // Until the server has permitted the peer its packets are lost; ICE sends them again.
                if let Err(error) = relay.send(to, &contents) {
                    tracing::trace!(target: "whip", "packet to {to} lost: {error}");
                }
            }
        }
    }
}

/// The address of this host that packets to `other` come from.
pub(crate) async fn local_address_towards(other: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match other {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Nothing is sent: the kernel only looks up the route.
    socket.connect((other, 9)).await?;
    Ok(socket.local_addr()?.ip())
}
