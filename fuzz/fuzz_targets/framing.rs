//! The target `framing` for cargo-fuzz, which needs a nightly compiler: `cargo +nightly fuzz run framing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fuzz::codec::framing(bytes);
});
