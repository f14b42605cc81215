//! What the operator does on a real API server, as its contract numbers it.

mod addresses;
mod calls;
mod discovery;
mod fixture;
mod icetest;
mod legacy;
mod lifecycle;
mod managed;
mod metrics;
mod network;
mod outage;
mod security;
mod several;
mod statuses;
mod tools;
mod tutorial;
mod writes;
