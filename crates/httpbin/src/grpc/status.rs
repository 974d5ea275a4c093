//! How a call ends: a code, a message, and how both stand in headers.

use fuseboard_grpc::frame::BadMessage;
use fuseboard_grpc::{Code, encoded};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A code with what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Status {
    pub(super) const OK: Self = Self { code: Code::Ok, message: String::new() };

    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(STATUS, HeaderValue::from(u16::from(self.code.number())));
        if !self.message.is_empty()
            && let Ok(message) = HeaderValue::from_bytes(&encoded(self.message.as_bytes()))
        {
            headers.insert(MESSAGE, message);
        }
    }
}

impl From<BadMessage> for Status {
    fn from(bad: BadMessage) -> Self {
        Self::new(bad.code, bad.problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_escaped() {
        let mut headers = HeaderMap::new();
        Status::new(Code::Internal, "100 % of\n\u{fc}").write(&mut headers);
        assert_eq!(
            (&headers[STATUS], &headers[MESSAGE]),
            (&"13".parse().unwrap(), &"100 %25 of%0A%C3%BC".parse().unwrap())
        );
    }
}
