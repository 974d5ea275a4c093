//! The value of `grpc-timeout`, read and written.

use std::time::Duration;

/// How long a caller waits: up to eight digits and a unit. `None`: it makes no sense.
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

/// So much time, in the finest unit that has room for it. What does not fit is rounded up: a host that gives up before its caller
/// does would be taken for one that failed. Nothing is the least there is: the format has no zero.
pub fn timeout_value(time: Duration) -> String {
    const ROOM: u128 = 99_999_999;
    let nanos = time.as_nanos().max(1);
    let units = [(1_000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S')];
    let fitting =
        units.map(|(unit, name)| (nanos.div_ceil(unit), name)).into_iter().find(|(count, _)| *count <= ROOM);
    let (count, name) = fitting.unwrap_or((ROOM, 'S'));
    format!("{count}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_up_to_eight_digits_and_a_unit() {
        for (text, time) in [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("99999999H", Duration::from_hours(99_999_999)),
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), Some(time), "{text}");
        }
        for wrong in ["", "S", "1", "1s", "-1S", "+1S", "123456789S", "1.5S", " 1S", "1\u{fc}"] {
            assert_eq!(parse_timeout(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_time_is_told_in_the_finest_unit_and_never_shorter_than_it_is() {
        for (time, text) in [
            (Duration::ZERO, "1u"),
            (Duration::from_nanos(1_001), "2u"),
            (Duration::from_micros(99_999_999), "99999999u"),
            (Duration::from_nanos(99_999_999_001), "100000m"),
            (Duration::from_hours(27), "97200000m"),
            (Duration::from_hours(28), "100800S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(timeout_value(time), text);
        }
    }
}
