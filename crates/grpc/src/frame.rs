//! Messages in a stream: each is preceded by a byte that says whether it is compressed, and by its length in four.

use std::fmt;
use std::io::{Read as _, Write as _};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use prost::Message;

use crate::{Code, PREFIX, prefix};

/// How messages may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// By gzip.
    Gzip,
}

impl Encoding {
    /// As `grpc-encoding` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
        }
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMessage {
    /// How a call ends for it.
    pub code: Code,
    /// In words.
    pub problem: String,
}

impl BadMessage {
    fn internal(problem: impl Into<String>) -> Self {
        Self { code: Code::Internal, problem: problem.into() }
    }

    fn too_long(problem: impl Into<String>) -> Self {
        Self { code: Code::ResourceExhausted, problem: problem.into() }
    }
}

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.problem)
    }
}

impl std::error::Error for BadMessage {}

/// A message as it stands in a stream.
pub fn framed(message: &impl Message, encoding: Encoding) -> Result<Bytes, BadMessage> {
    let plain = message.encode_to_vec();
    let (compressed, bytes) = match encoding {
        Encoding::Identity => (false, plain),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            // Writing to memory does not fail.
            match encoder.write_all(&plain).and_then(|()| encoder.finish()) {
                Ok(zipped) => (true, zipped),
                Err(_) => (false, plain),
            }
        }
    };
    let prefix = prefix(compressed, bytes.len())
        .ok_or_else(|| BadMessage::too_long("it is longer than a message can be"))?;
    let mut frame = BytesMut::with_capacity(PREFIX + bytes.len());
    frame.extend_from_slice(&prefix);
    frame.put_slice(&bytes);
    Ok(frame.freeze())
}

/// Finds messages in what comes.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    encoding: Encoding,
    most: usize,
}

impl Reader {
    /// No message may be longer than `most` bytes, before and after it is unpacked.
    pub fn new(encoding: Encoding, most: usize) -> Self {
        Self { buffer: BytesMut::new(), encoding, most }
    }

    /// Adds what came.
    pub fn take_in(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether what came ends with a message.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next message, once it is all there.
    pub fn message(&mut self) -> Result<Option<Bytes>, BadMessage> {
        let Some((&flag, mut rest)) = self.buffer.split_first() else { return Ok(None) };
        let Ok(length) = rest.try_get_u32() else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.most {
            let Self { most, .. } = self;
            return Err(BadMessage::too_long(format!("a message of {length} bytes is longer than {most}")));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let message = self.buffer.split_to(length).freeze();
        match (flag, self.encoding) {
            (0, _) => Ok(Some(message)),
            (1, Encoding::Gzip) => unpacked(&message, self.most).map(Some),
            (1, Encoding::Identity) => {
                Err(BadMessage::internal("a message is compressed, and grpc-encoding does not say how"))
            }
            (flag, _) => Err(BadMessage::internal(format!("a message begins with the flag {flag}"))),
        }
    }
}

/// The only message of a stream that is there whole.
pub fn only<M: Message + Default>(stream: &[u8], encoding: Encoding, most: usize) -> Result<M, BadMessage> {
    let mut reader = Reader::new(encoding, most);
    reader.take_in(stream);
    let message = reader.message()?.ok_or_else(|| BadMessage::internal("unexpected EOF"))?;
    if !reader.is_empty() {
        return Err(BadMessage::internal("the answer is more than one message"));
    }
    decoded(message)
}

/// A message of a type.
pub fn decoded<M: Message + Default>(message: Bytes) -> Result<M, BadMessage> {
    M::decode(message).map_err(|error| BadMessage::internal(format!("a message cannot be read: {error}")))
}

/// Never more than `most` bytes come of few.
fn unpacked(bytes: &[u8], most: usize) -> Result<Bytes, BadMessage> {
    let mut plain = Vec::new();
    let up_to = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(bytes)
        .take(up_to)
        .read_to_end(&mut plain)
        .map_err(|error| BadMessage::internal(format!("a message cannot be unpacked: {error}")))?;
    if plain.len() > most {
        let problem = format!("a message is longer than {most} bytes when it is unpacked");
        return Err(BadMessage::too_long(problem));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{HealthCheckRequest, HealthCheckResponse, PingMessage};

    const MOST: usize = 1 << 20;

    fn message(text: &str) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, u8::try_from(text.len()).unwrap()];
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn messages_are_found_wherever_they_are_cut() {
        let stream = [message("one"), message(""), message("three")].concat();
        for at in 0..=stream.len() {
            let mut reader = Reader::new(Encoding::Identity, 10);
            let mut found = Vec::new();
            for part in [&stream[..at], &stream[at..]] {
                reader.take_in(part);
                while let Some(message) = reader.message().unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, ["one", "", "three"], "{at}");
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_length_and_when_it_is_unpacked() {
        let refused = |encoding, bytes: &[u8]| {
            let mut reader = Reader::new(encoding, 10);
            reader.take_in(bytes);
            reader.message().unwrap_err().code
        };
        assert_eq!(refused(Encoding::Identity, &[0, 0, 0, 0, 11]), Code::ResourceExhausted);
        assert_eq!(refused(Encoding::Identity, &[0, 255, 255, 255, 255]), Code::ResourceExhausted);
        let bomb = framed(&"0".repeat(1 << 20), Encoding::Gzip).unwrap();
        assert!(bomb.len() < 1 << 12);
        let mut reader = Reader::new(Encoding::Gzip, 1 << 19);
        reader.take_in(&bomb);
        assert_eq!(reader.message().unwrap_err().code, Code::ResourceExhausted);
        assert_eq!(refused(Encoding::Identity, &[1, 0, 0, 0, 0]), Code::Internal);
        assert_eq!(refused(Encoding::Gzip, &[1, 0, 0, 0, 1, 7]), Code::Internal);
        assert_eq!(refused(Encoding::Gzip, &[2, 0, 0, 0, 0]), Code::Internal);
    }

    #[test]
    fn a_message_survives_its_frame() {
        let ping = PingMessage { seq: 3, ts: -1, payload: "ab".repeat(900), delay_nanos: 7 };
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            let frame = framed(&ping, encoding).unwrap();
            assert_eq!(only::<PingMessage>(&frame, encoding, MOST).unwrap(), ping);
            assert_eq!(frame.len() > 1_000, encoding == Encoding::Identity);
            assert!(only::<PingMessage>(&frame[..frame.len() - 1], encoding, MOST).is_err());
            assert!(only::<PingMessage>(&[&frame[..], &frame[..]].concat(), encoding, MOST).is_err());
        }
        // As protoc has it.
        let request = HealthCheckRequest { service: "ab".into() };
        assert_eq!(&framed(&request, Encoding::Identity).unwrap()[..], b"\0\0\0\0\x04\x0a\x02ab");
        let health = |bytes| only::<HealthCheckResponse>(bytes, Encoding::Gzip, MOST).unwrap().status;
        assert_eq!(health(b"\0\0\0\0\x02\x08\x01"), HealthCheckResponse::SERVING);
        assert_eq!(health(b"\0\0\0\0\0"), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = only::<PingMessage>(&bytes, Encoding::Gzip, MOST);
            let framed = [&[1, 0, 0, 0, u8::try_from(bytes.len()).unwrap()][..], &bytes].concat();
            let _ = only::<HealthCheckResponse>(&framed, Encoding::Gzip, MOST);
        }
    }
}
