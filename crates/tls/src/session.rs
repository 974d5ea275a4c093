//! One connection's TLS: what it is given to read comes out as plain bytes, what is written goes out encrypted. It waits for
//! nothing: "would block" goes back to whoever asked, who knows the socket.

use std::io::{self, Read, Write};

use rustls::{CipherSuite, Connection, HandshakeKind, NamedGroup, ProtocolVersion};

use crate::material::Facts;

/// A record's bytes, which is as much as is encrypted at a time: the other side can read nothing of a part of one.
const RECORD: usize = 16 * 1024;

/// TLS of one connection, on either side.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// Plain bytes that wait to be read.
    readable: usize,
    /// Plain bytes that were taken and whose record has not been written to its end.
    unreported: usize,
    /// The first byte that came; tells TLS from plain text.
    first: Option<u8>,
    /// The other side's bytes have ended.
    ended: bool,
}

/// What the two sides agreed upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Version.
    pub version: Option<ProtocolVersion>,
    /// Cipher.
    pub cipher: Option<CipherSuite>,
    /// Group of the key exchange.
    pub group: Option<NamedGroup>,
    /// An earlier session was taken up again.
    pub resumed: bool,
    /// The other side showed a certificate.
    pub has_certificate: bool,
}

impl Session {
    /// In a box: it takes more than a kilobyte, which every future on its way would hold.
    pub(crate) fn boxed(connection: Connection) -> Box<Self> {
        Box::new(Self { connection, readable: 0, unreported: 0, first: None, ended: false })
    }

    /// Whether the two have not come to terms yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether there are encrypted bytes to be written.
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Whether reading gives something without the socket: bytes, or their end.
    pub const fn is_readable(&self) -> bool {
        self.readable > 0 || self.ended
    }

    /// Whether the first that came is a letter, as of a request in plain text, and not TLS.
    pub fn began_in_plain_text(&self) -> bool {
        self.first.is_some_and(|byte| byte.is_ascii_uppercase())
    }

    /// Plain bytes that are there. `Ok(0)` is an end that the other side said; one that it did not say is an error, as what
    /// came may then have been cut off (RFC 9112, section 9.8). "Would block": more must be read first.
    pub fn take(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let taken = self.connection.reader().read(room);
        if let Ok(n) = taken {
            self.readable = self.readable.saturating_sub(n);
        }
        taken
    }

    /// Reads once from `io`, and deals with what came. An answer that this makes necessary is written as far as it can be.
    pub fn fill(&mut self, io: &mut (impl Read + Write)) -> io::Result<()> {
        let mut first = FirstByte { io, first: &mut self.first };
        if self.connection.read_tls(&mut first)? == 0 {
            self.ended = true;
            if self.connection.is_handshaking() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let state = match self.connection.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                // Who speaks no TLS is told so in other words.
                if !self.began_in_plain_text() {
                    drop(self.flush(io));
                }
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        };
        self.readable = state.plaintext_bytes_to_read();
        self.ended |= state.peer_has_closed();
        if self.connection.wants_write() {
            match self.flush(io) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes all encrypted bytes to `io`.
    pub fn flush(&mut self, io: &mut impl Write) -> io::Result<()> {
        while self.connection.wants_write() {
            if self.connection.write_tls(io)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Takes plain bytes, and says how many once their record is written. "Would block": come again with bytes that begin the
    /// same way; they are not taken twice.
    pub fn write(&mut self, io: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        if self.unreported == 0 {
            self.flush(io)?;
            self.unreported = self.connection.writer().write(&bytes[..bytes.len().min(RECORD)])?;
        }
        self.flush(io)?;
        Ok(std::mem::take(&mut self.unreported))
    }

    /// The same, to its last byte. "Would block": come again.
    pub fn end(&mut self, io: &mut impl Write) -> io::Result<()> {
        self.connection.send_close_notify();
        self.flush(io)
    }

    /// Says that nothing more follows, as far as `io` takes it at once.
    pub fn say_end(&mut self, io: &mut impl Write) {
        // In the middle of a record there is no place for it.
        if self.unreported > 0 || self.connection.is_handshaking() {
            return;
        }
        self.connection.send_close_notify();
        drop(self.flush(io));
    }

    /// What the two sides agreed upon.
    pub fn peer(&self) -> Peer {
        Peer {
            version: self.connection.protocol_version(),
            cipher: self.connection.negotiated_cipher_suite().map(|suite| suite.suite()),
            group: self
                .connection
                .negotiated_key_exchange_group()
                .map(rustls::crypto::SupportedKxGroup::name),
            has_certificate: self.connection.peer_certificates().is_some(),
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// The protocol that was agreed upon (ALPN).
    pub fn protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The name that the client asked for; only on the server's side.
    pub fn server_name(&self) -> Option<&str> {
        match &self.connection {
            Connection::Server(server) => server.server_name(),
            Connection::Client(_) => None,
        }
    }

    /// What the other side's certificate says; `None`: it showed none.
    pub fn peer_certificate(&self) -> Option<Facts> {
        Facts::read(self.connection.peer_certificates()?.first()?)
    }
}

/// Remembers the first byte that passes.
struct FirstByte<'a, R> {
    io: &'a mut R,
    first: &'a mut Option<u8>,
}

impl<R: Read> Read for FirstByte<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.io.read(buffer)?;
        if self.first.is_none() {
            *self.first = buffer[..n].first().copied();
        }
        Ok(n)
    }
}
