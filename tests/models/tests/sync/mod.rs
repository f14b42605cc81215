//! Models of what the dataplane's `sync.rs` names: each operation happens at once.

use std::collections::{BTreeMap, VecDeque};
pub(crate) use std::sync::OnceLock;

pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};

/// A bounded queue.
pub(crate) struct ArrayQueue<T> {
    capacity: usize,
    items: Mutex<VecDeque<T>>,
}

impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, items: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock().unwrap();
        assert!(items.len() < self.capacity, "a letter is lost");
        items.push_back(item);
        Ok(())
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.items.lock().unwrap().pop_front()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}

/// An event that several calls before it count as one of.
#[derive(Clone, Default)]
pub(crate) struct Waker(Arc<(Mutex<bool>, Condvar)>);

impl Waker {
    pub(crate) fn wake(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
    }

    pub(crate) fn wait(&self) {
        let mut is_due = self.0.0.lock().unwrap();
        while !*is_due {
            is_due = self.0.1.wait(is_due).unwrap();
        }
        *is_due = false;
    }
}

/// A map whose values stay readable after they are gone from it.
pub(crate) struct Map<K, V: 'static>(Mutex<BTreeMap<K, &'static V>>);

impl<K: Ord, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
}

impl<K: Ord + Copy, V> Map<K, V> {
    pub(crate) fn pin(&self) -> &Self {
        self
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.lock().unwrap().get(key).copied()
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.0.lock().unwrap().insert(key, Box::leak(Box::new(value)));
    }

    pub(crate) fn remove_if(&self, key: &K, should: impl Fn(&K, &V) -> bool) -> Result<(), ()> {
        let mut map = self.0.lock().unwrap();
        match map.get(key) {
            Some(value) if should(key, value) => {
                map.remove(key);
                Ok(())
            }
            _ => Err(()),
        }
    }
}
