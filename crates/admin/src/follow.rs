//! Following `/fuseboard/v1/events` from the client's side: one connection, read with a deadline. Connecting again is the caller's
//! decision. It asks in HTTP/1.0, so that the stream comes as it is and ends with the connection.

use std::io;
use std::time::{Duration, Instant};

use crate::client::{AdminClient, ClientError, Stream};

/// A longer line is no event.
const MAX_LINE: usize = 64 * 1024;

/// Why a stream did not begin.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// No connection, or no HTTP.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server said no.
    #[error("the admin server answers {status}: {said}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        said: String,
    },
}

/// One event as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerEvent {
    /// Its type.
    pub kind: String,
    /// Its data.
    pub data: String,
}

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// An event.
    Event(ServerEvent),
    /// Nothing until the deadline.
    Nothing,
    /// The stream is at its end.
    End,
}

/// A stream that has begun.
pub struct EventStream {
    stream: Stream,
    received: Vec<u8>,
    event: ServerEvent,
    position: Option<String>,
    heard: Instant,
}

impl AdminClient {
    /// Begins to follow; `after`: the position of an earlier stream, to go on from there.
    pub fn follow(&self, target: &str, after: Option<&str>) -> Result<EventStream, FollowError> {
        let after = after.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let head = format!(
            "GET {target} HTTP/1.0\r\nhost: {}\r\nuser-agent: fuseboard\r\naccept: text/event-stream\r\n{after}\r\n",
            self.host()
        );
        let deadline = self.deadline();
        let broken = |source| ClientError::Broken { address: self.address().clone(), source };
        let mut stream = self.connect()?;
        stream.send(head.as_bytes(), deadline).map_err(broken)?;
        let mut received = Vec::new();
        let (length, status) = loop {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut fields);
            match response.parse(&received) {
                Ok(httparse::Status::Complete(length)) => break (length, response.code.unwrap_or(0)),
                Ok(httparse::Status::Partial) if received.len() < MAX_LINE => {}
                _ => return Err(self.not_http("the answer is not HTTP/1.1").into()),
            }
            if stream.read_some(&mut received, deadline).map_err(broken)? == 0 {
                return Err(self.not_http("the answer ends too early").into());
            }
        };
        received.drain(..length);
        if status != 200 {
            while received.len() < MAX_LINE
                && stream.read_some(&mut received, deadline).is_ok_and(|read| read > 0)
            {}
            let said = String::from_utf8_lossy(&received).trim_end().to_owned();
            return Err(FollowError::Refused { status, said });
        }
        let event = ServerEvent::default();
        Ok(EventStream { stream, received, event, position: None, heard: Instant::now() })
    }
}

impl EventStream {
    /// How far it has come, for whoever begins again.
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// Since when nothing came, not even a sign of life.
    pub fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Waits for the next event, but not for long.
    pub fn next(&mut self, patience: Duration) -> io::Result<Next> {
        let deadline = Instant::now() + patience;
        loop {
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                if let Some(event) = self.take(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']))
                {
                    return Ok(Next::Event(event));
                }
            }
            if self.received.len() > MAX_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
            }
            match self.stream.read_some(&mut self.received, deadline) {
                Ok(0) => return Ok(Next::End),
                Ok(_) => self.heard = Instant::now(),
                Err(problem) if problem.kind() == io::ErrorKind::TimedOut => return Ok(Next::Nothing),
                Err(problem) => return Err(problem),
            }
        }
    }

    /// Takes one line in; the event that it completes, if it does.
    fn take(&mut self, line: &str) -> Option<ServerEvent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.position = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.kind),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}
