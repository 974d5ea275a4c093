//! A scripted upstream and a raw client: everything that a peer may do, byte by byte, when the test says so.
//! For counting under load see `Origin` and `Caller`.
//!
//! Everything runs on the test's own tokio runtime (not with paused time: the sockets are real), binds port 0
//! on 127.0.0.1, waits for events with a deadline ([`DEADLINE`]) and panics with what it saw when the
//! deadline passes. Nothing sleeps.
//!
//! ```
//! use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Script, Upstream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let gate = Gate::new();
//! let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("hello")).after(&gate))).await;
//!
//! let mut client = Client::connect(upstream.address()).await; // the proxy would stand here
//! client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
//! let counts = upstream.until(|counts| counts.in_flight == 1).await;
//! assert_eq!((counts.open, counts.requests), (1, 1));
//!
//! gate.open();
//! let answer = client.response().await;
//! assert_eq!((answer.status, answer.text()), (200, "hello"));
//! assert_eq!(upstream.requests()[0].target, "/slow");
//! # }
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

mod client;
mod gate;
mod port;
mod reply;
mod script;
mod upstream;
mod wire;

pub use client::{Client, Response, Sender};
pub use gate::Gate;
pub use port::{RefusingPort, UnansweringPort};
pub use reply::Reply;
pub use script::{Behaviour, OnAccept, Script};
pub use upstream::{Counts, SeenRequest, Upstream};
pub use wire::ReadFailure;

/// How long anything in here waits for something that must happen. Long, so that a loaded machine does not
/// fail a test; a test that passes never waits for it.
pub const DEADLINE: Duration = Duration::from_secs(10);
