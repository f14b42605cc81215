//! The load generator, the bare forwarder, and the table of measurements.
//!
//! `bench` starts each server under test as a process of its own, sends packets or requests through it, and reads
//! from the kernel how much processor time that process used. Rounds are interleaved, so that a machine that
//! becomes slower for a while is slower for all servers alike; every figure is compared within its round.
//!
//! - [`forward`]: what a packet costs without TURN.
//! - [`wires`], [`load`]: sockets of clients and peers, and packets between them.
//! - [`session`], [`signalling`]: clients' requests.
//! - [`server`], [`case`], [`measure`], [`report`]: what is measured, how, and how it is told.
//! - [`flood`]: packets from very many addresses that have proved nothing.
//! - [`kernels`], [`instructions`]: the inner parts without sockets, and how many instructions they take.
//! - [`machine`], [`stats`], [`clock`], [`place`]: reading the kernel's accounts, arithmetic, time, addresses.

#![forbid(unsafe_code)]

pub mod case;
pub mod cli;
pub mod clock;
pub mod flood;
pub mod forward;
pub mod instructions;
pub mod kernels;
pub mod load;
pub mod machine;
pub mod measure;
pub mod place;
pub mod report;
pub mod server;
pub mod session;
pub mod signalling;
pub mod stats;
pub mod wires;
