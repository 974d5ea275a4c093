//! What must come out of a walk, and what did.

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

    pub(super) fn hold(&self) -> bool {
        self.0.iter().all(|one| one.holds)
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
        assert!(expectations.hold());
        expectations.within("c", 1..=29, 30);
        assert!(!expectations.hold());
        assert_eq!(expectations.iter().filter(|one| !one.holds).count(), 1);
    }
}
