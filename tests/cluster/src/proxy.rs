use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Stands between a program and a server, and takes from them what a network can take.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    wires: Mutex<Wires>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wires {
    is_held: bool,
    held: BTreeSet<usize>,
    is_over: bool,
    next: usize,
    open: Vec<(usize, [TcpStream; 2])>,
}

impl Proxy {
    /// One in front of `target`.
    #[track_caller]
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let wires = Mutex::default();
        let shared = Arc::new(Shared { target, wires, changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if serving.lock().is_over {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.join(client));
            }
        });
        Self { address, shared }
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections that are open, from the oldest to the newest.
    pub fn connections(&self) -> Vec<usize> {
        self.shared.lock().open.iter().map(|(id, _)| *id).collect()
    }

    /// Ends one connection, as if its server had gone.
    pub fn cut(&self, connection: usize) {
        let wires = self.shared.lock();
        for (_, ends) in wires.open.iter().filter(|(id, _)| *id == connection) {
            for end in ends {
                // It may have ended by itself meanwhile.
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }

    /// Nothing gets through any more, and nobody is told: neither on the connections there are, nor on new ones.
    pub fn hold(&self) {
        self.shared.lock().is_held = true;
    }

    /// Nothing gets through any more on the connections there are, and nobody is told. New ones work.
    pub fn hold_connections(&self) {
        let mut wires = self.shared.lock();
        let open: Vec<_> = wires.open.iter().map(|(id, _)| *id).collect();
        wires.held.extend(open);
    }

    /// What was held is lost with its connections, and new ones work.
    pub fn release(&self) {
        for connection in self.connections() {
            self.cut(connection);
        }
        let mut wires = self.shared.lock();
        wires.is_held = false;
        wires.held.clear();
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.release();
        // Wakes whoever accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wires> {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as nothing gets through.
    fn pass(&self, connection: usize) {
        let mut wires = self.lock();
        while wires.is_held || wires.held.contains(&connection) {
            wires = self.changed.wait(wires).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Joins a client to the server for as long as both like.
    fn join(&self, client: TcpStream) {
        let Some((id, server, client_again, server_again)) = self.open(&client) else { return };
        thread::scope(|scope| {
            scope.spawn(|| self.carry(id, &client, &server));
            self.carry(id, &server_again, &client_again);
        });
        self.lock().open.retain(|(other, _)| *other != id);
    }

    fn open(&self, client: &TcpStream) -> Option<(usize, TcpStream, TcpStream, TcpStream)> {
        let server = TcpStream::connect(self.target).ok()?;
        let ends = [client.try_clone().ok()?, server.try_clone().ok()?];
        let (client_again, server_again) = (client.try_clone().ok()?, server.try_clone().ok()?);
        let mut wires = self.lock();
        wires.next += 1;
        let id = wires.next;
        wires.open.push((id, ends));
        drop(wires);
        Some((id, server, client_again, server_again))
    }

    fn carry(&self, connection: usize, from: &TcpStream, to: &TcpStream) {
        let mut buffer = [0; 16 << 10];
        let mut copy = || -> io::Result<()> {
            let (mut from, mut to) = (from, to);
            loop {
                let length = from.read(&mut buffer)?;
                if length == 0 {
                    return Ok(());
                }
                self.pass(connection);
                to.write_all(&buffer[..length])?;
            }
        };
        // However it ends, the other side is told.
        let _ = copy();
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
