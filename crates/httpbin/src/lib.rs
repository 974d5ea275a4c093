//! Test servers whose failures and delays the caller chooses: httpbin, and the echo servers of fortio.
//!
//! [`serve`] runs one httpbin instance on the runtime it is called from; several instances live in one process. Paths,
//! JSON and error texts are those of go-httpbin, or of the original in Python ([`Style`]). [`Control`] breaks an instance
//! while it runs and counts what reaches it. [`serve_fortio`] runs what `fortio server` runs. Both speak the same
//! grammar of probabilities. Command-line flags and signals are left to the binary.
//!
//! All of them speak HTTP/1.1 and HTTP/2, with TLS or without, and gRPC: health, fortio's ping, and calls that fail as asked.
//!
//! The order in which to read: `listener` (connections), `server` (one httpbin), `endpoint` (its paths), `echo`, `grpc`,
//! `fortio`.

mod control;
mod duration;
mod echo;
mod endpoint;
mod fortio;
mod grpc;
mod gzip;
mod listener;
mod number;
mod path;
mod query;
mod random;
mod reply;
mod request;
mod server;
mod socket;
mod style;

pub use control::{Control, Counts, Peak};
pub use fortio::{Fortio, FortioOptions, Listening, MOST_BODY_BYTES, serve_fortio};
pub use listener::ServeError;
pub use server::{Options, Server, serve};
pub use style::Style;
