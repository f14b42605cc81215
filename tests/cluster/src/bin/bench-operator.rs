//! Measures the operator; see `docs/performance.md`.
#![forbid(unsafe_code)]

use clap::Parser as _;

fn main() {
    cluster::Bench::parse().run();
}
