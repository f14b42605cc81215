//! What threads share, by the names under which `tests/models` has models of the same.

pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use crossbeam_queue::ArrayQueue;
pub(crate) use net::Waker;

/// A map that is read without locks.
pub(crate) type Map<K, V> = papaya::HashMap<K, V, foldhash::fast::RandomState>;
