//! Hands libFuzzer's inputs to [`peernet_fuzz::database_address`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peernet_fuzz::database_address(data));
