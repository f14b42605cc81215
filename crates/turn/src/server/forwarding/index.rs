//! Hash indexes that store no keys.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use hashbrown::HashTable;

use crate::addr::hash_socket_addr;

/// An index of entries by a key that only the entries themselves hold.
#[derive(Default)]
pub(super) struct Index(HashTable<u32>);

impl Index {
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.find(hash, |&entry| is_it(entry)).copied()
    }

    pub(super) fn insert(&mut self, hash: u64, entry: u32, hash_of: impl Fn(u32) -> u64) {
        self.0.insert_unique(hash, entry, |&entry| hash_of(entry));
    }

    pub(super) fn remove(&mut self, hash: u64, entry: u32) {
        if let Ok(found) = self.0.find_entry(hash, |&candidate| candidate == entry) {
            found.remove();
        }
    }
}

/// A socket address that hashes in one or two words.
pub(super) struct AsKey(pub(super) SocketAddr);

impl Hash for AsKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_socket_addr(self.0, state);
    }
}

/// An IP address that hashes in one word.
pub(super) struct IpKey(pub(super) IpAddr);

impl Hash for IpKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            IpAddr::V4(ip) => state.write_u32(ip.to_bits()),
            IpAddr::V6(ip) => state.write_u128(ip.to_bits()),
        }
    }
}
