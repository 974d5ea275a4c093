//! Any bytes, through `xfcc::element`.
#![no_main]

#[path = "../entries/xfcc.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::element(data));
