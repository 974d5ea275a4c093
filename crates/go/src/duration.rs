//! Durations as Go reads and writes them: `1.5s`, `250us`, `1h30m`, and fortio's days in front (`1d4h`).

use std::time::Duration;

const UNITS: [(&str, f64); 9] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
    ("d", 86_400e9),
];

/// A duration that may be negative, as Go's may: fortio takes `-t -1s` for "until interrupted".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// Whether a minus stood in front.
    pub negative: bool,
    /// How long, without the sign.
    pub magnitude: Duration,
}

impl Signed {
    /// The duration if it is above zero.
    pub fn positive(self) -> Option<Duration> {
        (!self.negative && !self.magnitude.is_zero()).then_some(self.magnitude)
    }
}

/// Reads a duration: one or more numbers with a unit, or `0` alone. `None` for anything else, and for more
/// than Go's 292 years.
pub fn parse(text: &str) -> Option<Signed> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(Signed { negative: false, magnitude: Duration::ZERO });
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanoseconds += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    let limit = i64::MAX as f64;
    (nanoseconds < limit).then(|| Signed { negative, magnitude: Duration::from_secs_f64(nanoseconds / 1e9) })
}

/// Writes a duration as Go's `Duration.String` does: `106.474079ms`, `1m30s`, `0s`.
pub fn format(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let (scale, unit) = match nanoseconds {
        0 => return "0s".into(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    if nanoseconds < 60_000_000_000 {
        return with_fraction(nanoseconds, scale, unit);
    }
    let (minutes, seconds) = (nanoseconds / 60_000_000_000, nanoseconds % 60_000_000_000);
    let seconds = with_fraction(seconds, 1_000_000_000, "s");
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn with_fraction(nanoseconds: u128, scale: u128, unit: &str) -> String {
    let (whole, fraction) = (nanoseconds / scale, nanoseconds % scale);
    if fraction == 0 {
        return format!("{whole}{unit}");
    }
    let width = scale.ilog10() as usize;
    let fraction = format!("{fraction:0width$}");
    format!("{whole}.{}{unit}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn positive(text: &str) -> Option<Duration> {
        parse(text).and_then(Signed::positive)
    }

    #[test]
    fn go_durations_are_read() {
        for (text, ms) in
            [("1.5s", 1_500), ("250ms", 250), ("1h30m", 5_400_000), ("1d4h", 100_800_000), (".5s", 500)]
        {
            assert_eq!(positive(text), Some(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(positive("250us"), Some(Duration::from_micros(250)));
        assert_eq!(parse("0").unwrap().positive(), None);
        assert_eq!(parse("-1s").unwrap(), Signed { negative: true, magnitude: Duration::from_secs(1) });
    }

    #[test]
    fn anything_else_is_not_a_duration() {
        for text in ["", "1", "x", "1x", "1.2.3s", "s", "5 s", "--1s", "-", "1s2", "300000h1000000d", "."] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (ns, text) in [
            (0, "0s"),
            (17, "17ns"),
            (918_880, "918.88µs"),
            (106_474_079, "106.474079ms"),
            (1_000_829_284, "1.000829284s"),
            (5_000_000_000, "5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(format(Duration::from_nanos(ns)), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ns in 1_u64..10_000_000_000_000) {
            let text = format(Duration::from_nanos(ns));
            let read = positive(&text).unwrap();
            let difference = read.as_nanos().abs_diff(u128::from(ns));
            prop_assert!(difference <= 1, "{} is read {} ns off", text, difference);
        }
    }
}
