//! What gRPC says over HTTP: its codes and what they are called, how long a caller waits, texts in fields, how many messages
//! pass, and, with the feature `messages`, how they stand in a stream. Pure; whoever asks or answers brings the sockets.
//!
//! Sources: gRPC's "HTTP/2 protocol mapping" for the wire, Envoy's `grpc::Status` for what stands for what in HTTP.

mod code;
mod count;
#[cfg(feature = "messages")]
pub mod frame;
#[cfg(feature = "messages")]
pub mod message;
mod text;
mod timeout;

pub use code::{Code, CodeSet};
pub use count::MessageCount;
pub use text::{decoded, encoded};
pub use timeout::{parse_timeout, timeout_value};

/// Bytes in front of each message of a stream: whether it is compressed, and its length.
pub const PREFIX: usize = 5;

/// What stands in front of a message of `length` bytes; `None`: no message is as long.
pub fn prefix(compressed: bool, length: usize) -> Option<[u8; PREFIX]> {
    let [a, b, c, d] = u32::try_from(length).ok()?.to_be_bytes();
    Some([u8::from(compressed), a, b, c, d])
}

/// Whether a message with this content type is gRPC: `application/grpc`, alone or with `+proto` or parameters. gRPC-Web is not.
pub fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
        && matches!(content_type.get(GRPC.len()), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_content_type_is_a_family() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/GRPC", "application/grpc; x"]
        {
            assert!(is_grpc(kind.as_bytes()), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpcx", "application/json", ""] {
            assert!(!is_grpc(kind.as_bytes()), "{kind}");
        }
    }

    #[test]
    fn a_length_takes_four_bytes() {
        assert_eq!(prefix(true, 258), Some([1, 0, 0, 1, 2]));
        assert_eq!(prefix(false, 1 << 32), None);
    }
}
