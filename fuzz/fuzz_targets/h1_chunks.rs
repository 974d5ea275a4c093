//! Any bytes, through `http1::chunks`.
#![no_main]

#[expect(dead_code, reason = "each target uses one")]
#[path = "../entries/http1.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::chunks(data));
