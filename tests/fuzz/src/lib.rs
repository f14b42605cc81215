//! What no input may bring about, and a runner that looks for inputs that do.
//!
//! A [`Target`] takes any bytes and panics if a promise is broken. It returns a number that says which way the input
//! went, so that the runner knows an input that does something new from one that does not: such inputs are changed
//! further. That needs no instrumentation, and runs under the stable compiler.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a broken promise is a panic")]

pub mod codec;
pub mod discovery;
pub mod dtls;
pub mod dtls_client;
pub mod mutate;
pub mod runner;
pub mod server;
pub mod yaml;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// One entry point for arbitrary bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folders.
    pub name: &'static str,
    /// Panics if a promise is broken; the number tells ways of getting through apart.
    pub run: fn(&[u8]) -> u64,
    /// Pieces that inputs are made of.
    pub words: &'static [&'static [u8]],
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "codec", run: codec::codec, words: codec::WORDS },
    Target { name: "framing", run: codec::framing, words: codec::WORDS },
    Target { name: "dtls", run: dtls::dtls, words: dtls::WORDS },
    Target { name: "dtls-client", run: dtls_client::dtls_client, words: dtls_client::WORDS },
    Target { name: "server", run: server::server, words: server::WORDS },
    Target { name: "yaml", run: yaml::yaml, words: yaml::WORDS },
    Target { name: "discovery", run: discovery::discovery, words: yaml::WORDS },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

impl Target {
    /// Inputs to begin with, one a file.
    pub fn corpus(&self) -> PathBuf {
        folder("corpus").join(self.name)
    }

    /// Inputs that once broke a promise, one a file. They are tried first, for ever.
    pub fn found(&self) -> PathBuf {
        folder("found").join(self.name)
    }
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A number for a way of getting through.
pub(crate) fn path_of(steps: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    steps.hash(&mut hasher);
    hasher.finish()
}
