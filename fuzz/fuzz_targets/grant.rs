//! Hands libFuzzer's inputs to [`peernet_fuzz::grant`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peernet_fuzz::grant(data));
