//! What the operator does on a real API server, as its contract numbers it.

mod addresses;
mod fixture;
mod legacy;
mod lifecycle;
mod managed;
mod several;
