//! Any bytes, through `http1::requests`.
#![no_main]

#[expect(dead_code, reason = "each target uses one")]
#[path = "../entries/http1.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::requests(data));
