//! `cargo xtask`: the tools that build, check and measure Fuseboard.
fn main() {}
