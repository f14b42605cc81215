//! What the workers of the dataplane share, run in every order that threads can do it.
//!
//! Everything is in `tests/workers.rs`: the dataplane's own source, on models of what it takes from `std` and other
//! crates. Those are trusted to do what they say, each operation at once; what is checked is what we make of them.

#![forbid(unsafe_code)]
