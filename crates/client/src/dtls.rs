//! DTLS on a socket: the handshake, and the session that its two halves share.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use net::{DTLS_BEHIND, DTLS_IN_FRONT, DtlsConnection, DtlsError, DtlsReceived, DtlsTrust, dtls_record_len};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use crate::clock;

/// The longest datagram.
const LONGEST: usize = 65_536;

/// Why there is no session.
pub(crate) enum Failure {
    Io(io::Error),
    Dtls(DtlsError),
}

/// A session. Clones are the same.
#[derive(Clone)]
pub(crate) struct Session {
    connection: Arc<Mutex<DtlsConnection>>,
}

impl Session {
    /// Shakes hands with the server that a socket is connected to, for as long as the caller waits.
    pub(crate) async fn open(socket: &UdpSocket, trust: DtlsTrust) -> Result<Self, Failure> {
        let mut connection = DtlsConnection::new(trust, clock::now()).map_err(Failure::Dtls)?;
        let mut buffer = vec![0; LONGEST];
        let mut happened = Ok(());
        loop {
            while let Some(datagram) = connection.poll_transmit() {
                socket.send(&datagram).await.map_err(Failure::Io)?;
            }
            happened.map_err(Failure::Dtls)?;
            let Some(due) = connection.poll_timeout() else { break };
            happened = tokio::select! {
                received = socket.recv(&mut buffer) => {
                    let len = received.map_err(Failure::Io)?;
                    take(&mut connection, &mut buffer[..len])
                }
                () = sleep_until(Instant::from_std(due)) => {
                    connection.handle_timeout(clock::now());
                    Ok(())
                }
            };
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Decrypts the next record of what `bytes` holds from `taken` on, until one is for us.
    pub(crate) fn next(&self, bytes: &mut [u8], taken: &mut usize) -> io::Result<Option<Range<usize>>> {
        while let Some(len) = dtls_record_len(&bytes[*taken..]) {
            let start = *taken;
            *taken += len;
            match self.lock().handle(&mut bytes[start..start + len], clock::now()) {
                Ok(DtlsReceived::Data(place)) => return Ok(Some(start + place.start..start + place.end)),
                Ok(DtlsReceived::Closed) => {
                    let ended = "the server ended the DTLS session";
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, ended));
                }
                Ok(DtlsReceived::Handled | DtlsReceived::Stray | DtlsReceived::Established) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        *taken = bytes.len();
        Ok(None)
    }

    /// Encrypts a packet into `record`.
    pub(crate) fn seal<'r>(&self, packet: &[u8], record: &'r mut Vec<u8>) -> io::Result<&'r [u8]> {
        record.clear();
        record.resize(DTLS_IN_FRONT, 0);
        record.extend_from_slice(packet);
        record.resize(record.len() + DTLS_BEHIND, 0);
        match self.lock().seal(record) {
            Some(place) => Ok(&record[place]),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "too long for a record, or no session")),
        }
    }

    /// Ends the session. Returns what tells the server so.
    pub(crate) fn close(&self) -> Option<Vec<u8>> {
        let mut connection = self.lock();
        connection.close();
        connection.poll_transmit()
    }

    fn lock(&self) -> MutexGuard<'_, DtlsConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes every record of a datagram, until the handshake has ended one way or the other.
fn take(connection: &mut DtlsConnection, mut datagram: &mut [u8]) -> Result<(), DtlsError> {
    while let Some(len) = dtls_record_len(datagram) {
        let (record, rest) = datagram.split_at_mut(len);
        connection.handle(record, clock::now())?;
        datagram = rest;
    }
    Ok(())
}
