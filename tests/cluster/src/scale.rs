//! What the operator costs with many Gateways: figures for `docs/performance.md`, by `make bench-operator`.

mod figures;
mod objects;
mod real;
mod simulated;
mod watchers;

use std::process::Command;

use clap::{Parser, Subcommand};

/// Measures the operator on a real API server, and what it computes without one
#[derive(Debug, Parser)]
#[command(name = "bench-operator")]
pub struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Part {
    /// The operator as a program on kube-apiserver and etcd
    Real {
        /// Gateways, each with a route, a Service and ten endpoints
        #[arg(default_value_t = 1000)]
        gateways: usize,
        /// Endpoints that change, one after the other
        #[arg(long, default_value_t = 300)]
        changes: usize,
    },
    /// What the operator computes, in one process and without an API server
    Simulated {
        /// Gateways, each with a route, a Service and ten endpoints
        gateways: usize,
    },
    /// Config discovery with many watchers, a part of whom read nothing
    Watchers {
        /// Those that read
        #[arg(default_value_t = 4000)]
        lively: usize,
        /// Those that do not
        #[arg(default_value_t = 1000)]
        stalled: usize,
    },
}

impl Cli {
    /// Does what the command line says: all parts, or one.
    pub fn run(self) {
        match self.part {
            Some(Part::Real { gateways, changes }) => real::measure(gateways, changes),
            Some(Part::Simulated { gateways }) => simulated::measure(gateways),
            Some(Part::Watchers { lively, stalled }) => watchers::measure(lively, stalled),
            None => {
                // Each in a process of its own, so that memory can be told apart.
                let parts: [&[&str]; 6] = [
                    &["simulated", "100"],
                    &["simulated", "1000"],
                    &["simulated", "10000"],
                    &["watchers"],
                    &["real", "100"],
                    &["real"],
                ];
                for part in parts {
                    let program = std::env::current_exe().expect("a program");
                    let status = Command::new(program).args(part).status().expect("it runs");
                    assert!(status.success(), "{part:?} failed");
                }
            }
        }
    }
}
