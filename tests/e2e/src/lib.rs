//! What the browser tests share: browser windows that are driven over WebDriver, the call application, a gateway.
//!
//! Everything runs on loopback. A [`Window`] is looked at the way a person looks at it: through the document and its
//! console, never through the page's variables. Waiting ends as soon as the awaited state is there, and after
//! [`PATIENCE`] with the state that was there instead.
#![forbid(unsafe_code)]

mod application;
mod browser;
mod console;
mod gateway;
mod window;

pub use application::Application;
pub use browser::{Browser, Look};
pub use console::{Console, Frame};
pub use gateway::{Coturn, IceService};
pub use window::{State, Window};

use std::time::Duration;

/// How long a window may take for anything. Two browsers encode and decode video on whatever the machine has left.
pub const PATIENCE: Duration = Duration::from_secs(120);
