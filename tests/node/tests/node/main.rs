//! The tutorial, word for word, on a whole Kubernetes with our images: two browsers call each other through the gateway.

mod capture;
mod changes;
mod icetest;
mod janus;
mod legacy;
mod managed;
mod pair;
mod scene;
