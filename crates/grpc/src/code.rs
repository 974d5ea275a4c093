//! The codes a call ends with: their numbers, their names, what stands for them in HTTP and the reverse, and sets of them.

use std::fmt;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "gRPC's own names")]
pub enum Code {
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
    /// Every code, by its number.
    pub const ALL: [Self; 17] = [
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

    /// Those that a call can fail with.
    pub fn errors() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|code| code.is_error())
    }

    /// Whether a call that ends so has failed.
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::Ok)
    }

    /// The code with this number, if there is one.
    pub fn of_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// What the value of a field `grpc-status` says; a number that is no code's is unknown. `None`: it is no number.
    pub fn of_value(value: &[u8]) -> Option<Self> {
        let number: u32 = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
        Some(Self::of_number(number).unwrap_or(Self::Unknown))
    }

    /// The code of this name, as it is written in gRPC's documents: `DEADLINE_EXCEEDED`.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// The code that is meant by a number or by a name in any spelling: `4`, `DeadlineExceeded`, `deadline-exceeded`.
    pub fn meant_by(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Self::of_number(number);
        }
        let letters = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
        let meant = letters(text);
        Self::ALL.into_iter().find(|code| letters(code.name()) == meant)
    }

    /// As it is written.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name in gRPC's documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// What an answer with this status of HTTP, which knows nothing of gRPC, says to a caller.
    pub const fn of_http(status: u16) -> Self {
        match status {
            200 => Self::Ok,
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The status of HTTP that stands for it: 500 and above are the server's faults.
    pub const fn to_http(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Cancelled => 499,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => 400,
            Self::DeadlineExceeded => 504,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::PermissionDenied => 403,
            Self::ResourceExhausted => 429,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::Unauthenticated => 401,
            Self::Unknown | Self::Internal | Self::DataLoss => 500,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodeSet(u32);

impl CodeSet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// The set and `code`.
    #[must_use]
    pub const fn with(self, code: Code) -> Self {
        Self(self.0 | 1 << code.number())
    }

    /// What is in either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `code` is in it.
    pub const fn contains(self, code: Code) -> bool {
        self.0 >> code.number() & 1 == 1
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in it, by their numbers.
    pub fn iter(self) -> impl Iterator<Item = Code> {
        Code::ALL.into_iter().filter(move |code| self.contains(*code))
    }
}

impl FromIterator<Code> for CodeSet {
    fn from_iter<I: IntoIterator<Item = Code>>(codes: I) -> Self {
        codes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_for_the_statuses_that_envoy_says() {
        // Envoy's two tables.
        let to_http = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
        for (code, http) in Code::ALL.into_iter().zip(to_http) {
            assert_eq!(code.to_http(), http, "{code}");
        }
        for (http, number) in [
            (200, 0),
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (408, 2),
            (429, 14),
            (500, 2),
            (502, 14),
            (503, 14),
            (504, 14),
        ] {
            assert_eq!(Code::of_http(http).number(), number, "{http}");
        }
    }

    #[test]
    fn each_has_one_number_and_one_name() {
        for (number, code) in (0..).zip(Code::ALL) {
            assert_eq!((code.number(), Code::of_value(number.to_string().as_bytes())), (number, Some(code)));
            assert_eq!(Code::of_name(code.name()), Some(code));
            for spelling in [number.to_string(), format!("{code:?}"), code.name().replace('_', "-")] {
                assert_eq!(Code::meant_by(&spelling), Some(code), "{spelling}");
            }
        }
        assert_eq!(Code::of_value(b"99"), Some(Code::Unknown));
        assert_eq!(Code::of_value(b"x"), None);
        for text in ["17", "-1", "", "oke"] {
            assert_eq!(Code::meant_by(text), None, "{text}");
        }
        assert_eq!(Code::of_name("unavailable"), None);
    }

    #[test]
    fn a_set_has_what_was_put_in() {
        let set = [Code::Unavailable, Code::Aborted].into_iter().collect::<CodeSet>();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Code::Aborted, Code::Unavailable]);
        assert!(set.contains(Code::Aborted) && !set.contains(Code::Ok) && !set.is_empty());
        assert_eq!(CodeSet::EMPTY.with(Code::Ok).and(set).iter().count(), 3);
    }
}
