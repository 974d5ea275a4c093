//! Reads whole streams with the codec as a connection would: scan, parse, decode, again. What it returns is
//! plain owned data that tests compare.

use fuseboard_http1::{
    Awaiting, BodyDecoder, BodyError, BodyFraming, HeadError, HeadScanner, Headers, Limits, parse_request,
    parse_response,
};

/// One message as the codec read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// `METHOD target` or the status.
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, Vec<u8>, bool)>,
    pub(crate) framing: BodyFraming,
    pub(crate) keep_alive: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<u8>,
}

/// How the stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With the last message, or the last message said that nothing follows.
    Clean,
    /// Inside a head.
    InHead,
    Head(HeadError),
    Body(BodyError),
}

/// Which way the bytes flow.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Requests,
    Responses(Awaiting),
}

struct Reader {
    side: Side,
    limits: Limits,
    scanner: HeadScanner,
    buffer: Vec<u8>,
    current: Option<(Message, BodyDecoder)>,
    done: Vec<Message>,
    closed: bool,
}

impl Reader {
    fn new(side: Side, limits: Limits) -> Self {
        let scanner = match side {
            Side::Requests => HeadScanner::for_requests(limits),
            Side::Responses(_) => HeadScanner::for_responses(limits),
        };
        Self { side, limits, scanner, buffer: Vec::new(), current: None, done: Vec::new(), closed: false }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.buffer.extend_from_slice(bytes);
        while !self.closed {
            if self.current.is_none() {
                let Some(length) = self.scanner.scan(&self.buffer).map_err(End::Head)? else { return Ok(()) };
                let head: Vec<u8> = self.buffer.drain(..length).collect();
                let message = self.parse(&head).map_err(End::Head)?;
                let decoder = BodyDecoder::new(message.framing, self.limits).keeping_trailers();
                self.current = Some((message, decoder));
            }
            if !self.read_body()? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the message is complete.
    fn read_body(&mut self) -> Result<bool, End> {
        let Some((message, decoder)) = &mut self.current else { return Ok(true) };
        while !decoder.is_complete() && !self.buffer.is_empty() {
            let step = decoder.decode(&self.buffer).map_err(End::Body)?;
            assert!(step.content.end == step.consumed || step.content.is_empty());
            message.body.extend_from_slice(&self.buffer[step.content]);
            self.buffer.drain(..step.consumed);
        }
        if !decoder.is_complete() {
            return Ok(false);
        }
        message.trailers = decoder.trailers().to_vec();
        self.closed = !message.keep_alive;
        self.done.extend(self.current.take().map(|(message, _)| message));
        Ok(true)
    }

    fn parse(&self, head: &[u8]) -> Result<Message, HeadError> {
        let mut headers = Headers::new();
        let (start, fields, framing, keep_alive) = match self.side {
            Side::Requests => {
                let head = parse_request(head, &mut headers, &self.limits)?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let start = format!("{} {}", text(head.method_bytes()), text(head.target()));
                (start, head.fields(), head.framing(), head.keep_alive())
            }
            Side::Responses(awaiting) => {
                let head = parse_response(head, &mut headers, &self.limits, awaiting)?;
                (head.status().to_string(), head.fields(), head.framing(), head.keep_alive())
            }
        };
        let fields = fields
            .map(|f| (String::from_utf8_lossy(f.name).into_owned(), f.value.to_vec(), f.hop_by_hop))
            .collect();
        Ok(Message { start, fields, framing, keep_alive, body: Vec::new(), trailers: Vec::new() })
    }

    fn close(mut self) -> (Vec<Message>, End) {
        let end = match &mut self.current {
            Some((message, decoder)) => match decoder.on_close() {
                Ok(()) => {
                    self.done.push(message.clone());
                    End::Clean
                }
                Err(error) => End::Body(error),
            },
            None if self.closed || self.buffer.is_empty() => End::Clean,
            None => End::InHead,
        };
        (self.done, end)
    }
}

/// Reads a stream that arrives in these pieces.
pub(crate) fn read_pieces<'a>(
    side: Side,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Message>, End) {
    let mut reader = Reader::new(side, limits);
    for piece in pieces {
        if let Err(end) = reader.push(piece) {
            return (reader.done, end);
        }
    }
    reader.close()
}

/// Reads a stream that arrives at once.
pub(crate) fn read(side: Side, stream: &[u8]) -> (Vec<Message>, End) {
    read_pieces(side, Limits::default(), [stream])
}

/// Cuts `bytes` at these positions, taken modulo the length.
pub(crate) fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}
