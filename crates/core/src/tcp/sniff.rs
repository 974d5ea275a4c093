//! What a client speaks, by the first bytes that it sends. More bytes never change what was found in fewer, so that it does not
//! matter in which parts they come; and after [`MAX_SNIFFED`] of them there is always an answer.

/// So many bytes are looked at, and not one more.
pub const MAX_SNIFFED: usize = 16 * 1024;

/// What HTTP/2 begins with (RFC 9113, section 3.4).
pub const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No method that is registered is longer than half of this.
const MAX_METHOD: usize = 32;

/// Length of a TLS record's head.
const RECORD_HEAD: usize = 5;

/// What a client speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// More must come before that is clear.
    Unclear,
    /// TLS, and what its first message says.
    Tls(Hello),
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS.
    Http2,
    /// Something else.
    Other,
}

/// What a `ClientHello` says before anything is encrypted. Of one that cannot be read, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The server that is asked for.
    pub server_name: Option<String>,
    /// The protocols that are offered (ALPN), the most wanted first.
    pub protocols: Vec<Vec<u8>>,
}

impl Spoken {
    /// By the front of a connection.
    pub fn by(bytes: &[u8]) -> Self {
        let front = &bytes[..bytes.len().min(MAX_SNIFFED)];
        match front.first() {
            None => Self::Unclear,
            Some(0x16) => tls(front),
            Some(_) if begins(front, HTTP2_PREFACE) => {
                if front.len() < HTTP2_PREFACE.len() {
                    Self::Unclear
                } else {
                    Self::Http2
                }
            }
            Some(_) => http1(front),
        }
    }
}

/// Whether one is the beginning of the other.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(one, other)| one == other)
}

/// `METHOD target HTTP/1.x`, and the end of the line.
fn http1(bytes: &[u8]) -> Spoken {
    let is_target = |byte: &u8| (0x21..=0x7e).contains(byte) || *byte >= 0x80;
    let method = bytes.iter().take_while(|byte| is_token(**byte)).count();
    if method == 0 || method > MAX_METHOD {
        return Spoken::Other;
    }
    let Some((space, rest)) = bytes[method..].split_first() else { return Spoken::Unclear };
    let Some(first) = rest.first().filter(|_| *space == b' ') else {
        return if *space == b' ' { Spoken::Unclear } else { Spoken::Other };
    };
    // A path, `*`, a whole URI, or a host.
    if !(first.is_ascii_alphanumeric() || matches!(first, b'/' | b'*' | b'[' | b'%')) {
        return Spoken::Other;
    }
    let target = rest.iter().take_while(|byte| is_target(byte)).count();
    match rest[target..].split_first() {
        None if bytes.len() >= MAX_SNIFFED => Spoken::Http1,
        None => Spoken::Unclear,
        Some((b' ', version)) => match version.get(..9) {
            None if bytes.len() >= MAX_SNIFFED => Spoken::Other,
            None if begins(version, b"HTTP/1.") && version.get(7).is_none_or(|minor| is_minor(*minor)) => {
                Spoken::Unclear
            }
            Some(version)
                if version.starts_with(b"HTTP/1.")
                    && is_minor(version[7])
                    && matches!(version[8], b'\r' | b'\n') =>
            {
                Spoken::Http1
            }
            _ => Spoken::Other,
        },
        Some(_) => Spoken::Other,
    }
}

const fn is_minor(byte: u8) -> bool {
    matches!(byte, b'0' | b'1')
}

/// RFC 9110, section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// A record of a handshake that begins with a `ClientHello` (RFC 8446, sections 5.1 and 4.1.2).
fn tls(bytes: &[u8]) -> Spoken {
    let is_wrong = |at: usize, wrong: fn(u8) -> bool| bytes.get(at).is_some_and(|byte| wrong(*byte));
    if is_wrong(1, |major| major != 3) || is_wrong(2, |minor| minor > 4) || is_wrong(5, |kind| kind != 1) {
        return Spoken::Other;
    }
    match message(bytes) {
        Some(Ok(message)) => Spoken::Tls(hello(&message).unwrap_or_default()),
        Some(Err(Broken)) => Spoken::Tls(Hello::default()),
        None if bytes.len() >= MAX_SNIFFED => Spoken::Tls(Hello::default()),
        None => Spoken::Unclear,
    }
}

/// The records are not what they must be.
struct Broken;

/// The body of the first message, which may lie in several records; `None`: it is not there yet.
fn message(mut bytes: &[u8]) -> Option<Result<Vec<u8>, Broken>> {
    let mut message = Vec::new();
    loop {
        let (head, rest) = bytes.split_at_checked(RECORD_HEAD)?;
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        // Nobody may send an empty one, or one of another kind, in the middle of this message.
        if head[0] != 0x16 || length == 0 {
            return Some(Err(Broken));
        }
        message.extend_from_slice(&rest[..rest.len().min(length)]);
        if let Some((head, body)) = message.split_at_checked(4) {
            let wanted = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            if body.len() >= wanted {
                return Some(Ok(body[..wanted].to_vec()));
            }
        }
        bytes = rest.get(length..)?;
    }
}

/// What a `ClientHello` says; `None`: it cannot be read.
fn hello(body: &[u8]) -> Option<Hello> {
    // Version, random, session, ciphers, compressions.
    let mut body = Reader(body);
    body.take(2 + 32)?;
    body.vector8()?;
    body.vector16()?;
    body.vector8()?;
    let mut hello = Hello::default();
    if body.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = body.vector16()?;
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let mut data = extensions.vector16()?;
        match kind {
            0 => hello.server_name = server_name(data.vector16()?),
            16 => {
                let mut names = data.vector16()?;
                while !names.0.is_empty() {
                    hello.protocols.push(names.vector8()?.0.to_vec());
                }
            }
            _ => {}
        }
    }
    Some(hello)
}

/// The name of kind 0; what is no name of a host is none.
fn server_name(mut names: Reader<'_>) -> Option<String> {
    while !names.0.is_empty() {
        let kind = names.take(1)?;
        let name = names.vector16()?;
        if kind == [0] {
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            let text = name.0.iter().all(is_name).then(|| String::from_utf8_lossy(name.0));
            return text
                .filter(|text| !text.is_empty() && text.len() < 256)
                .map(|text| text.to_ascii_lowercase());
        }
    }
    None
}

/// What is left of some bytes.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind a length of one byte.
    fn vector8(&mut self) -> Option<Self> {
        let n = self.take(1)?[0];
        self.take(n.into()).map(Self)
    }

    /// Bytes behind a length of two.
    fn vector16(&mut self) -> Option<Self> {
        let n = self.number16()?;
        self.take(n.into()).map(Self)
    }
}
