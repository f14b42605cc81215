//! The server as its clients, peers and operator know it, one file per topic. Every test names an input and lists
//! all that comes out of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may as well stop there")]

mod support;

mod algorithms;
mod allocate;
mod arbitrary;
mod authentication;
mod binding;
mod channel;
mod connection;
mod data;
mod discovery;
mod dual;
mod expiry;
mod headless;
mod icmp;
mod mobility;
mod model;
mod permission;
mod quota;
mod reconfigure;
mod refresh;
mod reservation;
mod weaknesses;
