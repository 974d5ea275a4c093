//! Any bytes, through `http1::responses`.
#![no_main]

#[expect(dead_code, reason = "each target uses one")]
#[path = "../entries/http1.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::responses(data));
