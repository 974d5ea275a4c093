//! Streams of HTTP/2, spoken to as if they were connections of HTTP/1.1 ([ADR 9](../../../../docs/adr/0009-http2-streams-as-messages.md)).
//! An exchange knows one form of messages; here that form is read from and written to streams.
//! Frames, windows and header compression are the `h2` crate's; which stream serves what is decided elsewhere.
//!
//! - [`heads`]: what a stream's head says, as a head of HTTP/1.1
//! - [`incoming`]: what comes on a stream, as bytes of a message
//! - [`outgoing`]: bytes of a message, as what goes on a stream
//! - [`values`]: values of fields, of which many messages have the same
//! - [`ServedStream`], [`AskedStream`]: both ways, for a client's stream and for ours at a host
//! - [`Carrier`]: the connection below
//! - [`Upgrade`]: a connection that began with HTTP/1.1

mod asked;
mod carrier;
mod heads;
mod incoming;
mod outgoing;
mod served;
mod upgrade;
mod values;

use std::io;

pub(crate) use asked::{AskedStream, Fate, Unprocessed};
pub(crate) use carrier::{Carrier, Meter};
pub(crate) use served::ServedStream;
pub(crate) use upgrade::{Begun, Upgrade};

/// What may be on its way to us on one stream.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;

/// What may be on its way to us on all streams of one connection together, which bounds the memory that a peer can fill.
pub(crate) const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Streams that one connection may carry at a time, where nothing else is said: Envoy's default.
const MAX_STREAMS: u32 = 1024;

/// Answers that were made and not yet taken, for one stream: as much as one of our own buffers holds, several times.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that a client has given up and we have not looked at yet; one more ends the connection (CVE-2023-44487).
const RESET_STREAMS: usize = 50;

/// Our side of clients' connections, with heads up to so many bytes.
pub(crate) fn server(head_bytes: u32) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(head_bytes)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_pending_accept_reset_streams(RESET_STREAMS);
    builder
}

/// A failure of a stream or its connection, for who thinks of it as a connection of its own.
fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
#[allow(clippy::unwrap_used, reason = "how a test fails")]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_http2_holds() {
        super::replay::feed("http2", crate::fuzz::frames);
    }
}
