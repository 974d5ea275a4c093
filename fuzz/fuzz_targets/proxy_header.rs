//! Any bytes, through `proxy_header::proxy_header`.
#![no_main]

#[path = "../entries/proxy_header.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::proxy_header(data));
