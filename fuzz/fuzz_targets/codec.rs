//! The target `codec` for cargo-fuzz, which needs a nightly compiler: `cargo +nightly fuzz run codec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fuzz::codec::codec(bytes);
});
