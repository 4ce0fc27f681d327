//! Hands libFuzzer's inputs to [`peernet_fuzz::http_head`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peernet_fuzz::http_head(data));
