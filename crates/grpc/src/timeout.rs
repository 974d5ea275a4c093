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

/// So many milliseconds, in the finest unit that has room for them.
pub fn timeout_value(millis: u64) -> String {
    const ROOM: u64 = 99_999_999;
    if millis <= ROOM { format!("{millis}m") } else { format!("{}S", (millis / 1000).min(ROOM)) }
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
        for millis in [0, 1, 99_999_999, 100_000_000, u64::MAX] {
            let read = parse_timeout(timeout_value(millis).as_bytes()).unwrap();
            assert!(read <= Duration::from_millis(millis));
        }
    }
}
