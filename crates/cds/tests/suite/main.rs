//! Config discovery as its users see it: real sockets on loopback, real files.

mod clients;
mod common;
mod files;
mod origins;
mod proxy;
mod servers;
mod stores;
