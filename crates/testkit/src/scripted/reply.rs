//! A response that a fake upstream sends, put together field by field.

/// How the body is delimited.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Delimiter {
    Length,
    /// Chunks of at most so many bytes.
    Chunks(usize),
    Close,
}

/// A whole response. Sent as it is built, in this order and case; nothing is added besides the framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    delimiter: Delimiter,
    trailers: Vec<(String, String)>,
    interim: Vec<u8>,
}

impl Reply {
    /// 200 with this body and a content-length.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    /// This status and an empty body.
    pub const fn status(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: Vec::new(),
            delimiter: Delimiter::Length,
            trailers: Vec::new(),
            interim: Vec::new(),
        }
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// One more field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sends the body in chunks of at most so many bytes.
    #[must_use]
    pub const fn chunked(mut self, most: usize) -> Self {
        self.delimiter = Delimiter::Chunks(most);
        self
    }

    /// One trailer; only sent by chunked replies.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    /// Announces no length: the body ends when the connection does. The connection is closed after it.
    #[must_use]
    pub const fn until_close(mut self) -> Self {
        self.delimiter = Delimiter::Close;
        self
    }

    /// Says `connection: close` and closes after the reply.
    #[must_use]
    pub fn closing(self) -> Self {
        self.field("connection", "close")
    }

    /// Sends an interim response (1xx) before it.
    #[must_use]
    pub fn preceded_by(mut self, status: u16) -> Self {
        self.interim.extend_from_slice(format!("HTTP/1.1 {status} Interim\r\n\r\n").as_bytes());
        self
    }

    /// The connection ends with this reply.
    pub(crate) fn closes(&self) -> bool {
        let says_so =
            |(name, value): &(String, String)| name.eq_ignore_ascii_case("connection") && value == "close";
        self.delimiter == Delimiter::Close || self.fields.iter().any(says_so)
    }

    /// Everything up to and with the empty line.
    pub(crate) fn head_bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Status\r\n", self.status);
        text.push_str(&lines(&self.fields));
        match self.delimiter {
            // RFC 9110 section 8.6: no length in these.
            Delimiter::Length if self.status == 204 || self.status == 304 || self.status < 200 => {}
            Delimiter::Length => {
                text.push_str(&["content-length: ", &self.body.len().to_string(), "\r\n"].concat());
            }
            Delimiter::Chunks(_) => text.push_str("transfer-encoding: chunked\r\n"),
            Delimiter::Close => {}
        }
        text.push_str("\r\n");
        [self.interim.clone(), text.into_bytes()].concat()
    }

    /// The body as it stands on the wire.
    pub(crate) fn body_bytes(&self) -> Vec<u8> {
        let Delimiter::Chunks(most) = self.delimiter else { return self.body.clone() };
        let mut bytes = Vec::new();
        for chunk in self.body.chunks(most) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        bytes.extend_from_slice(lines(&self.trailers).as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

fn lines(fields: &[(String, String)]) -> String {
    fields.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect()
}
