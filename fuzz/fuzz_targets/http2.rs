//! Any bytes, through `http2::frames`, which is part of the proxy's crate when that is built for fuzzing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuseboard_proxy::fuzz::frames(data));
