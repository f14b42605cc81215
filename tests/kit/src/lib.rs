//! What tests share: a blocking TURN client, echo peers, child processes, and the parts a machine may lack.
//!
//! Everything here runs on loopback, waits for conditions and never for time to pass, and gives up at a
//! deadline with a message that says what was awaited. Misuse and missed deadlines panic: in a test that is
//! the error report. Only answers a test may want to look at, like a TURN error code, are `Result`s.
//!
//! Knows nothing of the gateway: it speaks to any TURN server, which is how it is itself tested.

#![deny(unsafe_code)]

pub mod allocations;
mod clock;
mod echo;
pub mod host;
mod part;
mod place;
mod port;
mod process;
mod turn;
mod way;

pub use clock::{Deadline, PATIENCE, Watch};
pub use echo::{EchoPeer, TcpEchoPeer};
pub use part::{Part, excuse, need};
pub use place::{binary, cache, sweep, temp_dir, workspace};
pub use port::{await_tcp, free_port};
pub use process::{Process, Running};
pub use turn::{
    AllocateOptions, Allocation, Answer, Closed, Credentials, Event, Failure, Refusal, Request, Stream,
    TurnClient, trusting_tls, trusting_tls_1_2,
};
pub use way::Way;
