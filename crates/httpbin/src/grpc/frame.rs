//! Messages in a body: each is preceded by a byte that says whether it is compressed, and by its length in four. Pure.

use std::io::Read as _;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::read::GzDecoder;
use prost::Message;

use super::status::{Code, Status};
use crate::gzip::gzipped;

const HEAD: usize = 5;

/// How messages may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
        }
    }
}

/// A message as it goes out.
pub(super) fn written(message: &impl Message, encoding: Encoding) -> Result<Bytes, Status> {
    let plain = message.encode_to_vec();
    let (flag, bytes) = match encoding {
        Encoding::Identity => (0, plain),
        // Writing to memory does not fail.
        Encoding::Gzip => match gzipped(&plain) {
            Ok(zipped) => (1, zipped),
            Err(_) => (0, plain),
        },
    };
    let length = u32::try_from(bytes.len())
        .map_err(|_| Status::new(Code::ResourceExhausted, "the answer is longer than a message can be"))?;
    let mut frame = BytesMut::with_capacity(HEAD + bytes.len());
    frame.put_u8(flag);
    frame.put_u32(length);
    frame.extend_from_slice(&bytes);
    Ok(frame.freeze())
}

/// Finds messages in what comes.
#[derive(Debug)]
pub(super) struct Reader {
    buffer: BytesMut,
    encoding: Encoding,
    most: usize,
}

impl Reader {
    /// No message may be longer than `most` bytes, before and after it is unpacked.
    pub(super) fn new(encoding: Encoding, most: usize) -> Self {
        Self { buffer: BytesMut::new(), encoding, most }
    }

    pub(super) fn take_in(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether what came ends with a message.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next message, once it is all there.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((&flag, mut rest)) = self.buffer.split_first() else { return Ok(None) };
        let Ok(length) = rest.try_get_u32() else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.most {
            let Self { most, .. } = self;
            let problem = format!("a message of {length} bytes is longer than {most}");
            return Err(Status::new(Code::ResourceExhausted, problem));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let message = self.buffer.split_to(length).freeze();
        match (flag, self.encoding) {
            (0, _) => Ok(Some(message)),
            (1, Encoding::Gzip) => unpacked(&message, self.most).map(Some),
            (1, Encoding::Identity) => Err(Status::new(
                Code::Internal,
                "a message is compressed, and grpc-encoding does not say how",
            )),
            (flag, _) => Err(Status::new(Code::Internal, format!("a message begins with the flag {flag}"))),
        }
    }
}

/// Never more than `most` bytes come of few.
fn unpacked(bytes: &[u8], most: usize) -> Result<Bytes, Status> {
    let mut plain = Vec::new();
    let up_to = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(bytes)
        .take(up_to)
        .read_to_end(&mut plain)
        .map_err(|error| Status::new(Code::Internal, format!("a message cannot be unpacked: {error}")))?;
    if plain.len() > most {
        let problem = format!("a message is longer than {most} bytes when it is unpacked");
        return Err(Status::new(Code::ResourceExhausted, problem));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

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
                while let Some(message) = reader.next().unwrap() {
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
            reader.next().unwrap_err().code
        };
        assert_eq!(refused(Encoding::Identity, &[0, 0, 0, 0, 11]), Code::ResourceExhausted);
        assert_eq!(refused(Encoding::Identity, &[0, 255, 255, 255, 255]), Code::ResourceExhausted);
        let bomb = gzipped(&vec![0; 1 << 20]).unwrap();
        let mut reader = Reader::new(Encoding::Gzip, 1 << 19);
        reader.take_in(&[1]);
        reader.take_in(&u32::try_from(bomb.len()).unwrap().to_be_bytes());
        reader.take_in(&bomb);
        assert_eq!(reader.next().unwrap_err().code, Code::ResourceExhausted);
        assert_eq!(refused(Encoding::Identity, &[1, 0, 0, 0, 0]), Code::Internal);
        assert_eq!(refused(Encoding::Gzip, &[1, 0, 0, 0, 1, 7]), Code::Internal);
        assert_eq!(refused(Encoding::Gzip, &[2, 0, 0, 0, 0]), Code::Internal);
    }

    #[test]
    fn what_is_written_can_be_read() {
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            let mut reader = Reader::new(encoding, 1_000);
            reader.take_in(&written(&"text".to_owned(), encoding).unwrap());
            let message = reader.next().unwrap().unwrap();
            assert_eq!(String::decode(message).unwrap(), "text");
        }
    }
}
