//! Any bytes, through `yaml::resources`.
#![no_main]

#[path = "../entries/yaml.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::resources(data));
