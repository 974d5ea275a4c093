//! The data plane: workers, listeners, HTTP/1.1, pools, the admin server.
//!
//! [`start`] takes options and a snapshot and returns a [`Proxy`]; [`Proxy::apply`] is the seam through which every later snapshot
//! comes, whoever made it. Reading order: `server`, `worker`, `acceptor`, `downstream`, `exchange` (one request's life), `upstream`;
//! `live` is what runs, `local_reply` the table of everything that goes wrong.

mod acceptor;
mod access_log;
pub mod admin;
mod arrival;
pub mod breaker;
mod buffer;
mod clock;
mod control;
mod deadline;
mod descriptors;
mod downstream;
mod error;
pub mod events;
mod exchange;
pub mod fallback;
#[cfg(test)]
mod fixture;
mod free_list;
#[cfg(any(test, fuzzing))]
#[path = "../../../fuzz/entries/http2.rs"]
#[allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a panic is how a fuzz target fails"
)]
pub mod fuzz;
mod http2;
mod inherited;
mod listener;
pub mod live;
mod local_reply;
mod log_writer;
mod observe;
mod options;
mod outlier_log;
mod refusal;
mod server;
mod shared;
pub mod stats;
mod stream;
mod tcp;
mod upstream;
mod worker;

pub use error::{ApplyError, ListenError, StartError};
pub use fuseboard_admin::AdminAddress;
pub use fuseboard_admin::status::RefusalRecord;
pub use inherited::{Handed, Inherited, NoPlace, Place};
pub use listener::{Holder, holder_of};
pub use local_reply::{Body, Cause, Row};
pub use options::{AccessLog, AccessLogFormat, LogSink, ProxyOptions, Source};
pub use server::{BoundListener, Proxy, start};
pub use shared::Phase;
