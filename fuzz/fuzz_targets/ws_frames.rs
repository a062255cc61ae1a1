//! See `src/ws_frames.rs` for what is checked.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::ws_frames::check(bytes));
