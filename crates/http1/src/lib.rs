//! HTTP/1.1 messages as a pure codec: heads, framing, chunks, keep-alive, strictness; bytes in, events out.
//!
//! No sockets, no async, no policy: the caller reads and writes, and decides which fields to send and whom to
//! ask. The codec decides what a message says and where it ends (RFC 9112), and refuses whatever two parsers
//! could read differently. That holds for requests ([`HeadError::status`] is the answer) and for responses
//! (any error is a protocol error of the upstream).
//!
//! # How to use it
//!
//! Per connection: a buffer, a [`HeadScanner`], a [`Headers`] table. [`HeadScanner::scan`] after each read,
//! until it gives the length of the head; [`parse_request`] once on these bytes; one loop over
//! [`RequestHead::fields`] writes the forwarded head; a [`BodyDecoder`] tells which of the following bytes
//! belong to the message. Allocates nothing once the buffers have grown.
//!
//! ```
//! use fuseboard_http1::{
//!     BodyDecoder, BodyFraming, HeadScanner, HeaderName, Headers, Limits, parse_request, parse_response, write,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = Limits::default();
//! let mut scanner = HeadScanner::for_requests(limits);
//! let mut headers = Headers::new();
//!
//! // Two reads; the head ends in the second.
//! let mut buffer = b"POST /shop?id=7 HTTP/1.1\r\nHost: shop\r\nConnection: X-Once\r\n".to_vec();
//! assert_eq!(scanner.scan(&buffer)?, None);
//! buffer.extend_from_slice(b"X-Once: gone\r\nTransfer-Encoding: chunked\r\n\r\n");
//! buffer.extend_from_slice(b"4\r\nfuse\r\n0\r\n\r\nGET / ...");
//! let head_length = scanner.scan(&buffer)?.ok_or("a whole head")?;
//! let (head, body) = buffer.split_at(head_length);
//! let request = parse_request(head, &mut headers, &limits)?;
//!
//! // The forwarded head: hop-by-hop fields stay behind, framing is written anew, the rest keeps order and case.
//! let mut out = Vec::new();
//! out.extend_from_slice(request.method_bytes());
//! out.push(b' ');
//! request.write_origin_target(&mut out);
//! write::end_request_line(&mut out);
//! for field in request.fields() {
//!     match field.id {
//!         _ if field.hop_by_hop => {}
//!         HeaderName::ContentLength | HeaderName::XFuseboard => {}
//!         _ => write::forward(&mut out, &field),
//!     }
//! }
//! match request.framing() {
//!     BodyFraming::Length(length) => write::field_number(&mut out, b"content-length", length),
//!     BodyFraming::Chunked => write::field(&mut out, b"transfer-encoding", b"chunked"),
//!     BodyFraming::None | BodyFraming::UntilClose => {}
//! }
//! write::end_head(&mut out);
//!
//! // The body: forwarded as it stands. What follows it is the next request.
//! let mut decoder = BodyDecoder::new(request.framing(), limits);
//! let belongs = decoder.pass(body)?;
//! out.extend_from_slice(&body[..belongs]);
//! assert!(decoder.is_complete());
//! assert_eq!(&body[belongs..], b"GET / ...");
//! assert_eq!(
//!     String::from_utf8(out)?,
//!     "POST /shop?id=7 HTTP/1.1\r\nHost: shop\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfuse\r\n0\r\n\r\n"
//! );
//!
//! // The answer's framing depends on what was asked.
//! let awaiting = request.awaiting();
//! let mut answer_headers = Headers::new();
//! let answer = parse_response(b"HTTP/1.1 204 No Content\r\n\r\n", &mut answer_headers, &limits, awaiting)?;
//! assert_eq!(answer.framing(), BodyFraming::None);
//! assert!(answer.keep_alive());
//! # Ok(())
//! # }
//! ```
//!
//! # Where it is stricter than it must be
//!
//! RFC 9112 leaves recipients a choice in the following; each choice made differently by two parsers is a way
//! to smuggle a request. Refused: a repeated `Content-Length`, even with equal values (section 6.3); lines
//! ended by LF alone (2.2); folded lines (5.2); transfer codings besides `chunked` (501, section 6.1); empty
//! elements in `Transfer-Encoding`; white space around a chunk size (7.1.1); a `Host` that differs from an
//! absolute target (3.2.2); lengths above 2^63-1; bodies of CONNECT, and of 1xx, 204 and 2xx-to-CONNECT
//! responses announced by a length above 0; expectations besides `100-continue` (417); names that read as
//! framing headers if `_` is taken for `-`.

mod authority;
mod body;
mod chunked;
mod error;
mod fields;
mod framing;
mod limits;
mod message;
mod name;
mod request;
mod response;
mod scan;
pub mod write;

pub use body::{BodyDecoder, Decoded};
pub use error::{BodyError, HeadError};
pub use fields::{Field, Fields, Headers};
pub use limits::{Limits, MAX_CHUNK_EXTENSION, MAX_HEADERS};
pub use message::{BodyFraming, Method, Version};
pub use name::HeaderName;
pub use request::{RequestHead, RequestSummary, TargetForm, parse_request};
pub use response::{Awaiting, ResponseHead, ResponseSummary, parse_response};
pub use scan::HeadScanner;
