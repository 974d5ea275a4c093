//! Load generator with honest latency and fortio's output.
//!
//! [`CommandLine::parse`] reads fortio's flags, [`run`] makes the calls and returns a [`Report`], [`curl`] makes
//! one call and returns its answer. Nothing here prints, exits or handles signals: what happens on the way is
//! handed to an [`Observer`], and a [`Cancel`] ends a run early with what was measured so far.
//!
//! The order in which to read: `options`, `plan` (who makes how many calls), `pace` (when), `client` (one
//! call; `http2` in HTTP/2), `caller` (one connection's calls), `engine` (all of them), `tally`, `report`.

mod access_log;
mod alarm;
mod answer;
mod beyond;
mod caller;
mod cancel;
mod client;
mod command_line;
mod connection;
mod curl;
mod deadline;
mod engine;
mod event;
mod expect;
mod flag_table;
mod flag_values;
mod grpc;
mod histogram;
mod http2;
mod netcat;
mod open;
mod options;
mod pace;
mod payload;
mod plan;
mod profile;
mod progress;
mod protocol;
mod redirect;
mod report;
mod request;
mod resolver;
mod saved;
mod security;
mod socket;
mod tally;
mod target;
mod template;
mod unsupported;
mod upload;
mod usage;

pub use answer::Receiver;
pub use beyond::{Beyond, Misfit, Mistakes};
pub use cancel::Cancel;
pub use command_line::{CommandLine, LogLook, UsageError, flags};
pub use curl::{Fetched, curl, curl_to};
pub use engine::{RunError, run, run_observed};
pub use event::{Event, Level, LogLine, Observer, Value};
pub use expect::{Expectation, ExpectationError, StatQuery, Stats, Verdict, junit};
pub use fuseboard_go as go;
pub use histogram::{Counter, Histogram, Interval};
pub use netcat::{NetcatError, Peer};
pub use options::{
    AccessLogFormat, AccessLogOptions, AddressFamily, AddressOrder, FORTIO_VERSION, GrpcOptions, HttpOptions,
    Options, Style, TlsOptions,
};
pub use payload::PayloadFlags;
pub use profile::Profile;
pub use progress::Progress;
pub use report::Report;
pub use saved::{Saved, SavedError, document, table};
pub use security::SecurityError;
pub use target::TargetError;
pub use usage::usage;
