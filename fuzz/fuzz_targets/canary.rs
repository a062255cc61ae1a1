//! A claim that is wrong: that no chunked body is ever whole. From nothing, without a seed, a fuzzer that sees which code of
//! the library its inputs reach finds one within seconds; one that does not see it never does. If this lives, the other
//! targets prove nothing.
#![no_main]

use sward::http::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(body) = fuzzing::chunked(&[bytes]) {
        assert!(!body.done || body.data.len() < 2, "the canary was found");
    }
});
