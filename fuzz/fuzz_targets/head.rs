//! See `src/head.rs` for what is checked.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::head::check(bytes));
