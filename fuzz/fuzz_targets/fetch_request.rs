//! Hands libFuzzer's inputs to [`peernet_fuzz::fetch_request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peernet_fuzz::fetch_request(data));
