//! A wire that can be cut.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What happens to the connections that pass.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    Open,
    /// All connections break; new ones are fine.
    Cut,
    /// Nothing passes any more, without anybody being told.
    Silent,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wire: watch::Sender<Wire>,
}

impl Proxy {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let wire = watch::Sender::new(Wire::Open);
        let state = wire.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, to, state.subscribe()));
            }
        });
        Self { address, wire }
    }

    pub(crate) fn cut(&self) {
        self.wire.send_replace(Wire::Cut);
    }

    pub(crate) fn silence(&self) {
        self.wire.send_replace(Wire::Silent);
    }
}

async fn pass(mut near: TcpStream, to: SocketAddr, mut wire: watch::Receiver<Wire>) {
    let Ok(mut far) = TcpStream::connect(to).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        Ok(()) = wire.changed() => {
            if *wire.borrow() == Wire::Silent {
                std::future::pending::<()>().await;
            }
        }
    }
}
