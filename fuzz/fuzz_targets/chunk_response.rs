//! Hands libFuzzer's inputs to [`peernet_fuzz::chunk_response`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peernet_fuzz::chunk_response(data));
