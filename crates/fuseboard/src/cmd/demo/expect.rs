//! What must come out of a walk, and what did.

use crate::exit::Exit;

/// Expectations in the order stated.
#[derive(Default)]
pub(super) struct Expectations(Vec<Expectation>);

/// One of them.
pub(super) struct Expectation {
    pub(super) what: String,
    pub(super) expected: String,
    pub(super) actual: String,
    pub(super) holds: bool,
}

impl Expectations {
    /// `actual` must be `expected`.
    pub(super) fn equal(&mut self, what: impl Into<String>, expected: u64, actual: u64) {
        let holds = expected == actual;
        let (expected, actual) = (expected.to_string(), actual.to_string());
        self.0.push(Expectation { what: what.into(), expected, actual, holds });
    }

    /// `actual` must be in `range`.
    pub(super) fn within(
        &mut self,
        what: impl Into<String>,
        range: std::ops::RangeInclusive<u64>,
        actual: u64,
    ) {
        let holds = range.contains(&actual);
        let expected = format!("{} to {}", range.start(), range.end());
        self.0.push(Expectation { what: what.into(), expected, actual: actual.to_string(), holds });
    }

    /// What the process says when it ends: only who asked for expectations is told by the exit code.
    pub(super) fn verdict(&self, asked: bool) -> Exit {
        if asked && self.0.iter().any(|one| !one.holds) { Exit::ExpectationFailed } else { Exit::Ok }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Expectation> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_fails_fails_them_all() {
        let mut expectations = Expectations::default();
        expectations.equal("a", 1, 1);
        expectations.within("b", 1..=29, 10);
        assert_eq!(expectations.verdict(true), Exit::Ok);
        expectations.within("c", 1..=29, 30);
        assert_eq!(expectations.verdict(true), Exit::ExpectationFailed);
        assert_eq!(expectations.verdict(false), Exit::Ok);
        assert_eq!(expectations.iter().filter(|one| !one.holds).count(), 1);
    }
}
