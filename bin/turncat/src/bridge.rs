//! What one client's connection looks like from the inside, whatever carries it.

use std::io;

/// A client.
pub(crate) trait Client: Send {
    /// Waits for what the client sends: the length of what was put into `buffer`, `None` if no more will come. Nothing
    /// is lost if the wait is given up.
    fn receive(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<Option<usize>>> + Send;

    /// Sends to the client.
    fn send(&mut self, payload: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Whether silence is the only way in which it can say that it is gone.
    fn goes_silently(&self) -> bool;

    /// Whether it has sent something after all since it was taken for gone. If not, it never will.
    fn comes_back(&mut self) -> bool {
        false
    }
}
