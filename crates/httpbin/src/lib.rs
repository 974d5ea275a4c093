//! httpbin-compatible test server with failure and delay knobs.
//!
//! [`serve`] runs one instance on the runtime it is called from; several instances live in one process.
//! Paths, JSON shapes and error texts are those of go-httpbin; `/echo` speaks the probability grammar of
//! fortio's echo server. [`Control`] breaks an instance while it runs and counts what reaches it.
//! Command-line flags and signals are left to the binary.

mod control;
mod endpoint;
mod random;
mod reply;
mod server;

pub use control::{Control, Counts, Peak};
pub use server::{Options, ServeError, Server, serve};
