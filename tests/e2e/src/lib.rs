//! What the browser tests share: browser windows that are driven over WebDriver, the gateway with all that belongs to
//! it, and stand-ins for parts of it that a test wants to go wrong.
//!
//! Everything runs on loopback. A [`Window`] is looked at the way a person looks at it: through the document and its
//! console, never through the page's variables. Waiting ends as soon as the awaited state is there, and after
//! [`PATIENCE`] with the state that was there instead.
#![forbid(unsafe_code)]

mod application;
mod browser;
mod console;
mod coturn;
mod echo;
mod ice_service;
mod janus;
mod manifest;
mod stunner;
mod window;

pub use application::Application;
pub use browser::{Browser, Look};
pub use console::{Console, Frame};
pub use coturn::Coturn;
pub use echo::{Echo, EchoPage, EchoWindow};
pub use ice_service::IceService;
pub use janus::Janus;
pub use manifest::Manifest;
pub use stunner::{Stunner, get};
pub use window::{State, Window};

use std::time::Duration;

/// How long a window may take for anything. Two browsers encode and decode video on whatever the machine has left.
pub const PATIENCE: Duration = Duration::from_secs(120);
