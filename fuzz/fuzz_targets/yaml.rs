//! The target `yaml` for cargo-fuzz, which needs a nightly compiler: `cargo +nightly fuzz run yaml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fuzz::yaml::yaml(bytes);
});
