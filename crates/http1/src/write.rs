//! Writers: the parts of a message appended to a buffer that the caller reuses. They allocate nothing but the
//! buffer's growth, and decide nothing: which fields to send and how the body is delimited is the caller's.
//!
//! Names and values are written as they are given. Those from a parsed head are valid; check others with
//! [`is_token`] and [`is_field_value`] where they enter the program.

use crate::fields::{Field, Span};
use crate::message::Version;
use crate::name::{is_token_byte, is_value_byte};

/// The end of a chunked body without trailers (RFC 9112 section 7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The answer to `expect: 100-continue` that asks for the body (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes of an HTTP date.
pub const DATE_LENGTH: usize = 29;

/// `GET /path HTTP/1.1` and CRLF. The target comes from
/// [`RequestHead::write_origin_target`](crate::RequestHead::write_origin_target) where the request is
/// forwarded: write the method and a space, the target, then [`end_request_line`].
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    end_request_line(out);
}

/// The rest of a request line after its target: version and CRLF.
#[inline]
pub fn end_request_line(out: &mut Vec<u8>) {
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 200 OK` and CRLF. The space before the reason stays where the reason is empty (RFC 9112 section
/// 4).
#[inline]
pub fn status_line(out: &mut Vec<u8>, version: Version, status: u16, reason: &[u8]) {
    debug_assert!((100..1_000).contains(&status), "no status: {status}");
    let mut line = *match version {
        Version::Http10 => b"HTTP/1.0 000 ",
        Version::Http11 => b"HTTP/1.1 000 ",
    };
    put_digits(&mut line[9..12], u64::from(status));
    out.extend_from_slice(&line);
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// One field line.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(is_token(name) && is_field_value(value), "a field that nobody checked");
    unchecked_field(out, name, value);
}

/// One field line of a text that goes through the parser before anybody believes it.
#[inline]
pub fn unchecked_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A field line that is known beforehand, with its CRLF: one copy in place of four.
#[inline]
pub fn line(out: &mut Vec<u8>, line: &'static [u8]) {
    debug_assert!(line.ends_with(b"\r\n"), "a line without its end");
    out.extend_from_slice(line);
}

/// One field line with a number for its value.
#[inline]
pub fn field_number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    decimal(out, value);
    out.extend_from_slice(b"\r\n");
}

/// A parsed field in its own case, with the white space around its value made one space.
#[inline]
pub fn forward(out: &mut Vec<u8>, parsed: &Field<'_>) {
    field(out, parsed.name, parsed.value);
}

/// Fields of one head on their way into another. Lines that stand one behind the other, in the form in which
/// [`forward`] would write them, are copied together.
///
/// Nothing of them is written for certain before [`Self::flush`], so call it before anything else is.
#[derive(Debug)]
pub struct Passage<'h> {
    head: &'h [u8],
    lines: Span,
}

impl<'h> Passage<'h> {
    /// Of fields of this head: the bytes that it was parsed from.
    pub fn of(head: &'h [u8]) -> Self {
        Self { head, lines: Span::default() }
    }

    /// A field as [`forward`] writes it.
    #[inline]
    pub fn forward(&mut self, out: &mut Vec<u8>, parsed: &Field<'_>) {
        if !parsed.line.is_empty() && self.lines.extend(parsed.line) {
            return;
        }
        self.flush(out);
        if parsed.line.is_empty() {
            forward(out, parsed);
        } else {
            self.lines = parsed.line;
        }
    }

    /// Writes what was held back to be copied together with more.
    #[inline]
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(std::mem::take(&mut self.lines).of_bytes(self.head));
    }
}

/// The empty line after the fields.
#[inline]
pub fn end_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The size line of a chunk with so many bytes; after them comes a CRLF. A chunk of 0 bytes would end the
/// body: write nothing for it.
#[inline]
pub fn chunk_size(out: &mut Vec<u8>, bytes: usize) {
    let digits = (bytes.max(1).ilog2() / 4) + 1;
    for position in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(bytes >> (position * 4)) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// A whole chunk; nothing for empty content.
pub fn chunk(out: &mut Vec<u8>, content: &[u8]) {
    if content.is_empty() {
        return;
    }
    chunk_size(out, content.len());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

/// A decimal number.
#[inline]
pub fn decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut start) = (number, digits.len());
    for (at, slot) in digits.iter_mut().enumerate().rev() {
        *slot = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
        start = at;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// The time as an HTTP date (RFC 9110 section 5.6.7), for example `Sun, 06 Nov 1994 08:49:37 GMT`.
/// `unix_seconds` are seconds since 1970; from the year 10000 on the date stays at the last one that has four
/// digits. Format it once a second, not per response.
pub fn http_date(unix_seconds: u64) -> [u8; DATE_LENGTH] {
    const LAST: u64 = 253_402_300_799;
    // 1 January 1970 was a Thursday.
    const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let seconds = unix_seconds.min(LAST);
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut date = *b"DDD, 00 MMM 0000 00:00:00 GMT";
    date[..3].copy_from_slice(WEEKDAYS[(days % 7) as usize]);
    date[8..11].copy_from_slice(MONTHS[(month % 12) as usize]);
    put_digits(&mut date[5..7], day);
    put_digits(&mut date[12..16], year);
    put_digits(&mut date[17..19], second_of_day / 3600);
    put_digits(&mut date[20..22], second_of_day / 60 % 60);
    put_digits(&mut date[23..25], second_of_day % 60);
    date
}

/// Year, month from 0 and day from 1 of a day counted from 1970, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years of 365.2425 days that start on 1 March, so that the leap day is the last; 719468 days lie between
    // 1 March of year 0 and 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    (year, month, day)
}

fn put_digits(place: &mut [u8], number: u64) {
    let mut rest = number;
    for slot in place.iter_mut().rev() {
        *slot = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
    }
}

/// The reason phrase that the registry of status codes (RFC 9110 section 16.2) gives a status; empty where there is none.
pub fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

/// Whether the bytes may be a field name or a method (RFC 9110 section 5.6.2).
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| is_token_byte(*b))
}

/// Whether the bytes may be a field value (RFC 9110 section 5.5); with CR or LF one could forge fields.
pub fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|b| is_value_byte(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_written_as_the_grammar_has_them() {
        assert_eq!(written(|out| request_line(out, b"GET", b"/p")), "GET /p HTTP/1.1\r\n");
        assert_eq!(written(|out| status_line(out, Version::Http11, 503, b"x y")), "HTTP/1.1 503 x y\r\n");
        assert_eq!(written(|out| status_line(out, Version::Http10, 200, b"")), "HTTP/1.0 200 \r\n");
        assert_eq!(written(|out| status_line(out, Version::Http11, 999, b"x")), "HTTP/1.1 999 x\r\n");
        assert_eq!(written(|out| field_number(out, b"content-length", 0)), "content-length: 0\r\n");
    }

    #[test]
    fn a_status_has_the_reason_of_the_registry_or_none() {
        assert_eq!(
            [200, 410, 503, 299, 999, 0].map(reason),
            ["OK", "Gone", "Service Unavailable", "", "", ""]
        );
    }

    #[test]
    fn fields_that_are_copied_together_read_as_if_each_was_written_alone() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nB:b\r\nC: c \r\nD:  d\r\nE: e\r\nF:\r\nG: \r\nH: h: h\r\nI: i\r\n\r\n";
        let mut headers = crate::Headers::new();
        let request = crate::parse_request(head, &mut headers, &crate::Limits::default()).unwrap();
        let fields: Vec<_> = request.fields().collect();
        // Each choice of fields; with one bit more something is written in their midst.
        for choice in 0..1 << (fields.len() + 1) {
            let chosen = || fields.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
            let between = |at: usize| choice >> fields.len() & 1 == 1 && at == 4;
            let alone = written(|out| {
                for (at, parsed) in chosen() {
                    if between(at) {
                        field(out, b"x", b"y");
                    }
                    forward(out, parsed);
                }
            });
            let together = written(|out| {
                let mut passage = Passage::of(head);
                for (at, parsed) in chosen() {
                    if between(at) {
                        passage.flush(out);
                        field(out, b"x", b"y");
                    }
                    passage.forward(out, parsed);
                }
                passage.flush(out);
            });
            assert_eq!(together, alone);
        }
    }

    #[test]
    fn numbers_are_written_at_their_edges() {
        for number in [0, 1, 9, 10, 99, 100, 12345, u64::MAX] {
            assert_eq!(written(|out| decimal(out, number)), number.to_string());
        }
        for size in [1, 15, 16, 255, 256, 65535, 65536, usize::MAX] {
            assert_eq!(written(|out| chunk_size(out, size)), format!("{size:x}\r\n"));
        }
    }

    #[test]
    fn an_empty_chunk_is_not_the_last_one() {
        assert_eq!(written(|out| chunk(out, b"")), "");
        assert_eq!(written(|out| chunk(out, b"abc")), "3\r\nabc\r\n");
    }

    #[test]
    fn dates_follow_the_calendar() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            // The example of RFC 9110 section 5.6.7.
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (seconds, text) in cases {
            assert_eq!(std::str::from_utf8(&http_date(seconds)), Ok(text));
        }
    }

    #[test]
    fn what_could_forge_a_field_is_no_value() {
        assert!(is_field_value(b"a\tb \xe9") && is_token(b"X-A_b"));
        assert!(!is_field_value(b"a\r\nb") && !is_field_value(b"\0"));
        assert!(!is_token(b"") && !is_token(b"a b") && !is_token(b"a:"));
    }
}
