//! The application over real sockets, with everything but a browser.

mod bench;
mod protocol;
mod robustness;
mod web;
