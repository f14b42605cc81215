//! A connection that another program keeps, talked to over its input and output.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::wire::Stream;
use crate::Part;

/// The two pipes of a program, and the program, which ends with them.
pub(super) struct Pipe {
    child: Child,
    arriving: Receiver<Vec<u8>>,
    unread: Vec<u8>,
    patience: Cell<Duration>,
}

/// `openssl s_client`, quiet: what it reads it encrypts, what it decrypts it prints.
#[track_caller]
pub(super) fn openssl_dtls(openssl: &Part, server: SocketAddr) -> Pipe {
    let mut command = openssl.command("openssl");
    command.args(["s_client", "-quiet", "-dtls1_2", "-connect", &server.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl starts");
    let mut output = child.stdout.take().expect("piped");
    let (arrived, arriving) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            if arrived.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    Pipe { child, arriving, unread: Vec::new(), patience: Cell::new(crate::PATIENCE) }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            self.unread = match self.arriving.recv_timeout(self.patience.get()) {
                Ok(mut record) => {
                    // A record holds whole packets, the last of which may lack the padding of a stream.
                    record.resize(record.len().next_multiple_of(4), 0);
                    record
                }
                Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::TimedOut.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            };
        }
        let length = into.len().min(self.unread.len());
        into[..length].copy_from_slice(&self.unread[..length]);
        self.unread.drain(..length);
        Ok(length)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.child.stdin.as_mut().expect("piped").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.child.stdin.as_mut().expect("piped").flush()
    }
}

impl Stream for Pipe {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.patience.set(timeout);
        Ok(())
    }

    /// The program does not tell; the address alone is known.
    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 0).into())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
