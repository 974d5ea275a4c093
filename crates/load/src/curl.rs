//! One call, its answer as it comes. What is printed where is the caller's choice; the exit code follows from the status.

use std::io::{Read, Write as _};
use std::sync::Arc;

use flate2::write::GzDecoder;

use crate::answer::Receiver;
use crate::client::{Destination, connecting_histogram};
use crate::engine::RunError;
use crate::event::{Level, LogLine, Observer};
use crate::options::Options;
use crate::protocol::Client;
use crate::upload;

/// The answer to one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Status, or -1 for a socket error.
    pub code: i32,
    /// Status line and headers, to the empty line. Empty after a socket error.
    pub head: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Receiver for Fetched {
    fn head(&mut self, _: u16, head: &[u8]) {
        self.head = head.to_vec();
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }
}

/// Makes one call and collects its answer. A status that is not OK is an answer too; [`RunError`] only when there is no
/// one to call.
pub async fn curl(options: &Options, observer: &Observer) -> Result<Fetched, RunError> {
    let mut fetched = Fetched::default();
    fetched.code = curl_to(options, None, observer, &mut fetched).await?;
    Ok(fetched)
}

/// As [`curl`], handing the answer to `receiver` as it comes, and returns the code. With an `upload` the body of the
/// request is read from there and sent in chunks as it comes. fortio exits with 0 for status 200 exactly.
pub async fn curl_to(
    options: &Options,
    upload: Option<Box<dyn Read + Send>>,
    observer: &Observer,
    receiver: &mut dyn Receiver,
) -> Result<i32, RunError> {
    let observer = crate::engine::at_least(options.log_level, observer);
    let destination = Destination::resolve(options).await?;
    destination.announce(&observer);
    let connecting = connecting_histogram(options.offset, options.resolution);
    let lines = destination.lines(1, &connecting);
    let mut client = Client::new(&Arc::new(destination), lines.first(), connecting, observer.clone(), 0);
    let mut inflated = Inflated { receiver, wanted: options.http.compression, state: State::Plain };
    let reply = match upload {
        Some(input) => client.upload(&mut upload::pieces_of(input)?, &mut inflated).await,
        None => client.fetch(&mut inflated).await,
    };
    let code = if inflated.finish() { reply.code } else { -1 };
    if code != reply.code {
        observer.log(LogLine::new(Level::Error, "The answer says that it is gzip and is not"));
    }
    if code != 200 {
        observer.log(LogLine::new(Level::Error, format!("Error status {code}")));
    }
    Ok(code)
}

/// Hands a body on as it was before it was compressed, if compression was asked for.
struct Inflated<'a> {
    receiver: &'a mut dyn Receiver,
    wanted: bool,
    state: State,
}

enum State {
    Plain,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Broken,
}

impl Receiver for Inflated<'_> {
    fn head(&mut self, status: u16, head: &[u8]) {
        let is_gzip = |line: &str| {
            let field = line.to_ascii_lowercase();
            field.strip_prefix("content-encoding:").is_some_and(|value| value.trim() == "gzip")
        };
        if self.wanted && String::from_utf8_lossy(head).lines().any(is_gzip) {
            self.state = State::Gzip(Box::new(GzDecoder::new(Vec::new())));
        }
        self.receiver.head(status, head);
    }

    fn body(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Plain => self.receiver.body(bytes),
            State::Broken => {}
            State::Gzip(decoder) => {
                let written = decoder.write_all(bytes);
                self.receiver.body(decoder.get_ref());
                decoder.get_mut().clear();
                if written.is_err() {
                    self.state = State::Broken;
                }
            }
        }
    }
}

impl Inflated<'_> {
    /// Hands on the rest; whether the body was what its head said.
    fn finish(&mut self) -> bool {
        match &mut self.state {
            State::Plain => true,
            State::Broken => false,
            State::Gzip(decoder) => {
                let finished = decoder.try_finish().is_ok();
                self.receiver.body(decoder.get_ref());
                finished
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn inflated(head: &str, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut fetched = Fetched::default();
        let mut inflated = Inflated { receiver: &mut fetched, wanted: true, state: State::Plain };
        inflated.head(200, head.as_bytes());
        for piece in pieces {
            inflated.body(piece);
        }
        let whole = inflated.finish();
        (fetched.body, whole)
    }

    #[test]
    fn a_compressed_body_is_handed_on_as_it_was() {
        let text = b"so it was so it was so it was".repeat(1_000);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&text).unwrap();
        let packed = encoder.finish().unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
        let pieces: Vec<&[u8]> = packed.chunks(7).collect();
        assert_eq!(inflated(head, &pieces), (text.clone(), true));
        assert!(!inflated(head, &pieces[..pieces.len() - 2]).1, "cut off");
        assert!(!inflated(head, &[b"not gzip at all"]).1);
        assert_eq!(inflated("HTTP/1.1 200 OK\r\n\r\n", &[&text]), (text.clone(), true));
    }
}
