//! A share of tries as a whole number of billionths, so that whether a host is an outlier never depends on how a floating
//! point number was rounded.

use std::fmt;

/// All of them, in billionths.
const ALL: i64 = 1_000_000_000;

/// A share. Of one that is computed from others (a threshold) it may be below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(i64);

impl Rate {
    /// `part` of `whole`, rounded down; all, if there is nothing to take a share of.
    pub fn of(part: u32, whole: u32) -> Self {
        if whole == 0 { Self(ALL) } else { Self(i64::from(part) * ALL / i64::from(whole)) }
    }

    /// From billionths.
    pub const fn from_billionths(billionths: i64) -> Self {
        Self(billionths)
    }

    /// In billionths.
    pub const fn billionths(self) -> i64 {
        self.0
    }

    /// In percent.
    pub fn percent(self) -> f64 {
        self.0 as f64 / (ALL / 100) as f64
    }

    /// In whole percent, cut off towards zero, as Envoy's event log has it.
    pub const fn whole_percent(self) -> i64 {
        self.0 / (ALL / 100)
    }
}

impl fmt::Display for Rate {
    /// `66.7 %`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.unsigned_abs() / (ALL.unsigned_abs() / 1_000);
        let sign = if self.0 < 0 { "-" } else { "" };
        match tenths % 10 {
            0 => write!(f, "{sign}{} %", tenths / 10),
            tenth => write!(f, "{sign}{}.{tenth} %", tenths / 10),
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_to_the_billionth_and_read_as_percent() {
        assert_eq!(Rate::of(2, 3).billionths(), 666_666_666);
        assert_eq!(Rate::of(0, 0).whole_percent(), 100);
        assert_eq!(Rate::of(u32::MAX, u32::MAX).billionths(), ALL);
        let read = [Rate::of(2, 3), Rate::of(1, 2), Rate::of(0, 3), Rate::from_billionths(-15_000_000)];
        assert_eq!(read.map(|rate| rate.to_string()), ["66.6 %", "50 %", "0 %", "-1.5 %"]);
        assert!((Rate::of(1, 8).percent() - 12.5).abs() < f64::EPSILON);
    }
}
