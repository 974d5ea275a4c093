//! One call, its answer as it came. What is printed where, and the exit code, follow from [`Fetched`].

use std::sync::Arc;

use crate::client::{Client, Destination, connecting_histogram};
use crate::engine::RunError;
use crate::event::{Level, LogLine, Observer};
use crate::options::Options;

/// The answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Status, or -1 for a socket error.
    pub code: i32,
    /// Status line and headers, to the empty line; for standard error. Empty after a socket error.
    pub head: Vec<u8>,
    /// The body without its framing; for standard output.
    pub body: Vec<u8>,
}

impl Fetched {
    /// 0 for status 200 exactly, else 1, as fortio has it.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.code != 200)
    }
}

/// Makes one call. A status that is not OK is an answer too; [`RunError`] only when there is no one to call.
pub async fn curl(options: &Options, observer: &Observer) -> Result<Fetched, RunError> {
    let destination = Destination::resolve(options).await?;
    if destination.target.scheme_was_missing && options.log_level <= Level::Warning {
        let given = &options.http.url;
        observer
            .log(LogLine::new(Level::Warning, format!("Assuming http:// on missing scheme for '{given}'")));
    }
    let connecting = connecting_histogram(options.offset, options.resolution);
    let mut client = Client::new(Arc::new(destination), connecting, observer.clone(), 0);
    let (reply, captured) = client.fetch().await;
    if reply.code < 0 {
        observer.log(LogLine::new(Level::Error, format!("Error status {}", reply.code)));
    }
    Ok(Fetched { code: reply.code, head: captured.head, body: captured.body })
}
