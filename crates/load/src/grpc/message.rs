//! The messages of gRPC's health check and fortio's ping, and how one stands in a stream: a byte that says whether it is
//! compressed, four of its length, the message.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use prost::Message;

use super::status::Status;

/// `grpc.health.v1.HealthCheckRequest`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

/// `fgrpc.PingMessage`, in both directions.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PingMessage {
    #[prost(int64, tag = "1")]
    pub(crate) seq: i64,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(crate) ts: i64,
    #[prost(string, tag = "3")]
    pub(crate) payload: String,
    /// How long the server is to wait.
    #[prost(int64, tag = "4")]
    pub(crate) delay_nanos: i64,
}

/// Bytes in front of a message.
const PREFIX: usize = 5;
/// The longest message that is taken, as by Go.
pub(crate) const LONGEST: usize = 4 << 20;

/// A message as it stands in a stream.
pub(crate) fn framed(message: &impl Message, compressed: bool) -> Bytes {
    let mut bytes = message.encode_to_vec();
    if compressed {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        // Writing to a Vec cannot fail.
        let _ = encoder.write_all(&bytes);
        bytes = encoder.finish().unwrap_or_default();
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(PREFIX + bytes.len());
    framed.push(u8::from(compressed));
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&bytes);
    framed.into()
}

/// The only message of a stream.
pub(crate) fn read<M: Message + Default>(stream: &[u8]) -> Result<M, Status> {
    let broken = |why: &str| Status::new(Status::INTERNAL, why);
    let (prefix, rest) = stream.split_first_chunk::<PREFIX>().ok_or_else(|| broken("unexpected EOF"))?;
    let [flag, length @ ..] = *prefix;
    if usize::try_from(u32::from_be_bytes(length)).ok() != Some(rest.len()) {
        return Err(broken("the answer is not one message of the length it says"));
    }
    let decoded = if flag == 0 {
        M::decode(rest)
    } else {
        let mut plain = Vec::new();
        let bounded = &mut GzDecoder::new(rest).take(LONGEST as u64 + 1);
        bounded.read_to_end(&mut plain).map_err(|_| broken("the answer says that it is gzip and is not"))?;
        if plain.len() > LONGEST {
            return Err(Status::new(Status::RESOURCE_EXHAUSTED, "received message larger than max"));
        }
        M::decode(&*plain)
    };
    decoded.map_err(|error| broken(&format!("failed to unmarshal the received message: {error}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_survives_its_frame() {
        let ping = PingMessage { seq: 3, ts: -1, payload: "ab".repeat(900), delay_nanos: 7 };
        for compressed in [false, true] {
            let frame = framed(&ping, compressed);
            assert_eq!(read::<PingMessage>(&frame).unwrap(), ping);
            assert_eq!(frame.len() > 1_000, !compressed);
            assert!(read::<PingMessage>(&frame[..frame.len() - 1]).is_err());
        }
        // As protoc has it.
        let request = HealthCheckRequest { service: "ab".into() };
        assert_eq!(&framed(&request, false)[..], b"\0\0\0\0\x04\x0a\x02ab");
        assert_eq!(read::<HealthCheckResponse>(b"\0\0\0\0\x02\x08\x01").unwrap().status, 1);
        assert_eq!(read::<HealthCheckResponse>(b"\0\0\0\0\0").unwrap().status, 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read::<PingMessage>(&bytes);
            let framed = [&[1, 0, 0, 0, u8::try_from(bytes.len()).unwrap()][..], &bytes].concat();
            let _ = read::<HealthCheckResponse>(&framed);
        }
    }
}
