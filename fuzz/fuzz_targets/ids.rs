//! Hands libFuzzer's inputs to [`peernet_fuzz::ids`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peernet_fuzz::ids(data));
