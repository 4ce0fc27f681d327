//! Hands libFuzzer's inputs to [`peernet_fuzz::host_port`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| peernet_fuzz::host_port(data));
