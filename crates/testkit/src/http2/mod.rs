//! A client and a scripted upstream of HTTP/2, plain or over any bytes. As in `scripted`, nothing sleeps, and what must happen is
//! waited for with [`DEADLINE`](crate::DEADLINE).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod client;
pub mod frames;
mod upstream;

pub use client::{Answer, Client, Exchange};
pub use frames::{Frame, Frames};
pub use upstream::{Counts, Reply, Seen, Upstream};
