//! The forwarding table: written by signalling, only read by packets.
