//! Hands libFuzzer's inputs to [`peernet_fuzz::rest_body`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peernet_fuzz::rest_body(data));
