//! What gRPC says over HTTP: whether a message is gRPC, how long its caller waits, and how its statuses and those of HTTP stand
//! for each other. Sources: gRPC's "HTTP/2 protocol mapping" for the wire, Envoy's `grpc::Status` for the mapping.

use std::time::Duration;

/// A status of gRPC, 0 to 16; what is above counts as unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    /// `OK`
    pub const OK: Self = Self(0);
    /// `UNKNOWN`
    pub const UNKNOWN: Self = Self(2);
    /// `PERMISSION_DENIED`
    pub const PERMISSION_DENIED: Self = Self(7);
    /// `UNIMPLEMENTED`
    pub const UNIMPLEMENTED: Self = Self(12);
    /// `INTERNAL`
    pub const INTERNAL: Self = Self(13);
    /// `UNAVAILABLE`
    pub const UNAVAILABLE: Self = Self(14);
    /// `UNAUTHENTICATED`
    pub const UNAUTHENTICATED: Self = Self(16);

    /// The value of the field `grpc-status`; `None`: no number.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let number: u32 = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
        Some(u8::try_from(number).ok().filter(|number| *number <= 16).map_or(Self::UNKNOWN, Self))
    }

    /// As it is written.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// What our own answer with this status of HTTP says to a caller of gRPC.
    pub const fn of_http(status: u16) -> Self {
        match status {
            200 => Self::OK,
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502..=504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    /// The status of HTTP that a host's health is judged by in its place: 500 and above are failures of the host.
    pub const fn to_http(self) -> u16 {
        match self.0 {
            0 => 200,
            1 => 499,
            3 | 9 | 11 => 400,
            4 => 504,
            5 => 404,
            6 | 10 => 409,
            7 => 403,
            8 => 429,
            12 => 501,
            14 => 503,
            16 => 401,
            _ => 500,
        }
    }
}

/// Whether a message with this content type is gRPC: `application/grpc`, alone or with `+proto` or parameters. gRPC-Web is not.
pub fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
        && matches!(content_type.get(GRPC.len()), None | Some(b'+' | b';' | b' '))
}

/// The value of `grpc-timeout`: up to eight digits and a unit.
pub fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The value of `grpc-timeout` for so many milliseconds, in the finest unit that has room for it.
pub fn timeout_value(millis: u64) -> String {
    const ROOM: u64 = 99_999_999;
    if millis <= ROOM { format!("{millis}m") } else { format!("{}S", (millis / 1000).min(ROOM)) }
}

/// A text as the value of `grpc-message`: percent-encoded where it is not printable ASCII.
pub fn message_value(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' '..=b'~' if *byte != b'%' => out.push(*byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_stand_for_those_that_envoy_says() {
        // Envoy's two tables.
        let to_http = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
        for (number, http) in to_http.into_iter().enumerate() {
            let status = GrpcStatus::parse(number.to_string().as_bytes()).unwrap();
            assert_eq!(status.to_http(), http, "{number}");
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
            assert_eq!(GrpcStatus::of_http(http).number(), number, "{http}");
        }
        assert_eq!(GrpcStatus::parse(b"99"), Some(GrpcStatus::UNKNOWN));
        assert_eq!(GrpcStatus::parse(b"x"), None);
    }

    #[test]
    fn a_time_is_up_to_eight_digits_and_a_unit() {
        for (text, time) in [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("99999999S", Duration::from_secs(99_999_999)),
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), Some(time), "{text}");
        }
        for wrong in ["", "S", "1", "1s", "-1S", "123456789S", "1.5S", " 1S"] {
            assert_eq!(parse_timeout(wrong.as_bytes()), None, "{wrong:?}");
        }
        for millis in [0, 1, 99_999_999, 100_000_000, u64::MAX] {
            let read = parse_timeout(timeout_value(millis).as_bytes()).unwrap();
            assert!(read <= Duration::from_millis(millis));
        }
    }

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
    fn a_message_is_printable() {
        assert_eq!(message_value("100 %\nä".as_bytes()), b"100 %25%0A%C3%A4");
    }
}
