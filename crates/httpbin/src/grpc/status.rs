//! How a call ends: a code, a message, and how both stand in headers.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The codes of gRPC, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl Code {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// By its number, or its name in any spelling: `14`, `UNAVAILABLE`, `DeadlineExceeded`, `deadline_exceeded`.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse::<usize>() {
            return Self::ALL.get(number).copied();
        }
        let plain = text.replace('_', "").to_ascii_lowercase();
        Self::ALL.into_iter().find(|code| code.name().to_ascii_lowercase() == plain)
    }

    /// As methods of the status service are called.
    pub(super) fn name(self) -> String {
        format!("{self:?}")
    }

    const fn number(self) -> u8 {
        self as u8
    }
}

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
            && let Ok(message) = HeaderValue::from_str(&escaped(&self.message))
        {
            headers.insert(MESSAGE, message);
        }
    }
}

/// Percent signs, and what is not printed or not ASCII, become escapes.
fn escaped(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

/// What `grpc-timeout` says: up to eight digits and a unit. `None`: it makes no sense.
pub(super) fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names_and_numbers() {
        assert_eq!(Code::read("14"), Some(Code::Unavailable));
        for text in ["DEADLINE_EXCEEDED", "DeadlineExceeded", "deadline_exceeded", "4"] {
            assert_eq!(Code::read(text), Some(Code::DeadlineExceeded), "{text}");
        }
        assert_eq!(
            (Code::read("17"), Code::read("-1"), Code::read(""), Code::read("oke")),
            (None, None, None, None)
        );
        for (number, code) in (0..).zip(Code::ALL) {
            assert_eq!((code.number(), Code::read(&code.name())), (number, Some(code)));
        }
    }

    #[test]
    fn a_message_is_escaped() {
        let mut headers = HeaderMap::new();
        Status::new(Code::Internal, "100 % of\n\u{fc}").write(&mut headers);
        assert_eq!(
            (&headers[STATUS], &headers[MESSAGE]),
            (&"13".parse().unwrap(), &"100 %25 of%0A%C3%BC".parse().unwrap())
        );
    }

    #[test]
    fn time_outs_have_a_unit() {
        assert_eq!(timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for text in ["", "m", "1", "1s", "-1S", "+1S", "123456789n", "1\u{fc}"] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }
}
