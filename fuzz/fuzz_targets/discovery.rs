//! The target `discovery` for cargo-fuzz, which needs a nightly compiler: `cargo +nightly fuzz run discovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fuzz::discovery::discovery(bytes);
});
