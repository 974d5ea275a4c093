//! Durations as go-httpbin takes them: Go's (`250ms`) or seconds (`1.5`), between two bounds.

use std::time::Duration;

use fuseboard_go::duration::{Signed, format, parse};

use crate::number;

/// The duration that `text` says, if it is between `shortest` and `longest`.
pub(crate) fn bounded(text: &str, shortest: Duration, longest: Duration) -> Result<Duration, String> {
    let Signed { negative, magnitude } = match parse(text) {
        Some(duration) => duration,
        None => seconds(number::fraction(text)?),
    };
    let sign = if negative && !magnitude.is_zero() { "-" } else { "" };
    if !sign.is_empty() || magnitude < shortest {
        return Err(format!("duration {sign}{} shorter than {}", format(magnitude), format(shortest)));
    }
    if magnitude > longest {
        return Err(format!("duration {} longer than {}", format(magnitude), format(longest)));
    }
    Ok(magnitude)
}

/// Seconds, to the millisecond.
fn seconds(seconds: f64) -> Signed {
    let milliseconds = (seconds.abs() * 1e3).trunc();
    // Not a number is no time; what is too much for a duration is beyond every bound.
    let magnitude = if milliseconds.is_nan() {
        Duration::ZERO
    } else {
        Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or(Duration::MAX)
    };
    Signed { negative: seconds < 0.0, magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Duration, String> {
        bounded(text, Duration::ZERO, Duration::from_secs(10))
    }

    #[test]
    fn seconds_and_go_durations_are_read() {
        assert_eq!(read("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(read("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(read("0.0001"), Ok(Duration::ZERO));
        assert_eq!(read("-0"), Ok(Duration::ZERO));
        assert_eq!(read("nan"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_beyond_a_bound_is_told_as_go_writes_it() {
        assert_eq!(read("61").unwrap_err(), "duration 1m1s longer than 10s");
        assert_eq!(read("-1.5").unwrap_err(), "duration -1.5s shorter than 0s");
        assert_eq!(
            bounded("0", Duration::from_nanos(1), Duration::MAX).unwrap_err(),
            "duration 0s shorter than 1ns"
        );
        assert!(read("inf").unwrap_err().ends_with("longer than 10s"));
        assert_eq!(read("1 s").unwrap_err(), "strconv.ParseFloat: parsing \"1 s\": invalid syntax");
    }
}
