//! Any bytes, through `certificate::certificate`.
#![no_main]

#[path = "../entries/certificate.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::certificate(data));
