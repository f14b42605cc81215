//! A real API server for tests: etcd and kube-apiserver on loopback, the kinds of the Gateway API and ours, and the
//! operator as a program, under its own roles.
//!
//! No controller runs, so a test plays load balancer, kubelet and garbage collector itself, by writing statuses. A
//! [`Kubelet`] forwards to ports of pods that are processes of this machine.

#![forbid(unsafe_code)]

mod api;
mod clock;
mod discovery;
mod kubelet;
mod operator;
mod proxy;
mod scale;
mod server;

pub use api::Api;
pub use discovery::Discovery;
pub use kubelet::Kubelet;
pub use operator::{Operator, Options};
pub use proxy::Proxy;
pub use scale::Cli as Bench;
pub use server::{GatewayApi, NodeSide, Server};
