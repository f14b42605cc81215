//! The target `server` for cargo-fuzz, which needs a nightly compiler: `cargo +nightly fuzz run server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fuzz::server::server(bytes);
});
