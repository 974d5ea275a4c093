//! Durations as Go writes them (`1h30m`, `1.5s`, `100ms`), which is what Istio's fields take.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationMistake {
    /// Nothing written.
    Empty,
    /// A number without `s`, `ms`, `m`, `h`.
    NoUnit,
    /// A unit that Go does not have (`d`, `sec`).
    UnknownUnit,
    /// Not number and unit in turn.
    Malformed,
    /// Below zero.
    Negative,
    /// Longer than Go can hold (292 years).
    TooLong,
}

/// Reads a duration with the grammar of Go's `time.ParseDuration`. `0` needs no unit.
pub fn parse_duration(text: &str) -> Result<Duration, DurationMistake> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(if text.is_empty() { DurationMistake::Empty } else { DurationMistake::Malformed });
    }
    let mut rest = unsigned;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = leading_part(rest)?;
        nanos = nanos.checked_add(part).ok_or(DurationMistake::TooLong)?;
        rest = after;
    }
    if nanos > i64::MAX.unsigned_abs().into() {
        return Err(DurationMistake::TooLong);
    }
    if negative && nanos > 0 {
        return Err(DurationMistake::Negative);
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| DurationMistake::TooLong)
}

/// The first number with its unit in nanoseconds, and what follows it.
fn leading_part(text: &str) -> Result<(u128, &str), DurationMistake> {
    let number_len = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, after) = text.split_at(number_len);
    let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
    let (unit, rest) = after.split_at(unit_len);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(DurationMistake::Malformed);
    }
    let scale: u128 = match unit {
        "" => return Err(DurationMistake::NoUnit),
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationMistake::UnknownUnit),
    };
    let whole: u128 =
        if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationMistake::TooLong)? };
    let mut nanos = whole.checked_mul(scale).ok_or(DurationMistake::TooLong)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos.saturating_add(u128::from(digit - b'0') * place);
    }
    Ok((nanos, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("5s", Ok(Duration::from_secs(5))),
            ("100ms", Ok(Duration::from_millis(100))),
            ("1.5s", Ok(Duration::from_millis(1500))),
            (".5s", Ok(Duration::from_millis(500))),
            ("1.s", Ok(Duration::from_secs(1))),
            ("1h30m", Ok(Duration::from_secs(5400))),
            ("1m0.5s", Ok(Duration::from_millis(60_500))),
            ("2us", Ok(Duration::from_micros(2))),
            ("0", Ok(Duration::ZERO)),
            ("0s", Ok(Duration::ZERO)),
            ("-0s", Ok(Duration::ZERO)),
            ("+5s", Ok(Duration::from_secs(5))),
            ("5", Err(DurationMistake::NoUnit)),
            ("1m5", Err(DurationMistake::NoUnit)),
            ("1d", Err(DurationMistake::UnknownUnit)),
            ("5 s", Err(DurationMistake::UnknownUnit)),
            ("5sec", Err(DurationMistake::UnknownUnit)),
            ("s", Err(DurationMistake::Malformed)),
            ("1.2.3s", Err(DurationMistake::Malformed)),
            ("-", Err(DurationMistake::Malformed)),
            ("", Err(DurationMistake::Empty)),
            ("-1s", Err(DurationMistake::Negative)),
            ("9999999h", Err(DurationMistake::TooLong)),
            ("99999999999999999999999999999999999999999999s", Err(DurationMistake::TooLong)),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }
}
