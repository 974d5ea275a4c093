//! The `fuseboard` binary: one file per subcommand, wiring only.
fn main() {}
