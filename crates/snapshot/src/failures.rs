//! The settings of a classifier of failures, as one writes them, and their values.

use std::fmt;

use fuseboard_core::classifier::{FailureClassifier, StatusSet, Verdict};
use fuseboard_grpc::{Code, CodeSet};

/// A setting of a [`FailureClassifier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClassifierSetting {
    /// Answers that are failures.
    Statuses,
    /// Answers that say nothing.
    IgnoredStatuses,
    /// Connections that were refused.
    ConnectFailures,
    /// Connections that were not there in time.
    ConnectTimeouts,
    /// Answers that were not there in time.
    Timeouts,
    /// Connections that ended before the answer.
    Resets,
    /// Answers that were not HTTP.
    ProtocolErrors,
}

impl ClassifierSetting {
    /// Every setting, in the order in which one writes them.
    pub const ALL: [Self; 7] = [
        Self::Statuses,
        Self::IgnoredStatuses,
        Self::ConnectFailures,
        Self::ConnectTimeouts,
        Self::Timeouts,
        Self::Resets,
        Self::ProtocolErrors,
    ];

    /// The value in force, as one would write it.
    pub fn value(self, classifier: &FailureClassifier) -> String {
        match self {
            Self::Statuses => Answers(classifier.failures, classifier.failing_codes).to_string(),
            Self::IgnoredStatuses => Answers(classifier.ignored, classifier.ignored_codes).to_string(),
            Self::ConnectFailures => verdict(classifier.connect_failed),
            Self::ConnectTimeouts => verdict(classifier.connect_timeout),
            Self::Timeouts => verdict(classifier.timeout),
            Self::Resets => verdict(classifier.reset),
            Self::ProtocolErrors => verdict(classifier.protocol_error),
        }
    }
}

/// The word of a verdict.
fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Success => "success".to_owned(),
        Verdict::Failure => "failure".to_owned(),
        Verdict::Ignored => "ignored".to_owned(),
    }
}

/// Statuses and codes of gRPC as a list: whole classes as `5xx`.
pub(crate) struct Answers(pub(crate) StatusSet, pub(crate) CodeSet);

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Vec::new();
        for class in 1..=5 {
            let own = class * 100..class * 100 + 100;
            let members: Vec<u16> = own.filter(|status| self.0.contains(*status)).collect();
            if members.len() == 100 {
                written.push(format!("{class}xx"));
            } else {
                written.extend(members.iter().map(u16::to_string));
            }
        }
        written.extend(self.1.iter().map(|code: Code| code.name().to_owned()));
        write!(f, "[{}]", written.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_shown_as_one_would_write_them() {
        let set = StatusSet::class(5).with(404).with(429);
        let shown = |set| Answers(set, CodeSet::EMPTY).to_string();
        assert_eq!(shown(set), "[404, 429, 5xx]");
        assert_eq!(shown(StatusSet::class(5).without(501).without(500)).len(), 2 + 97 * 5 + 3);
        assert_eq!(shown(StatusSet::EMPTY), "[]");
        let codes = [Code::Unavailable, Code::Aborted].into_iter().collect();
        assert_eq!(Answers(StatusSet::of(&[429]), codes).to_string(), "[429, ABORTED, UNAVAILABLE]");
    }

    #[test]
    fn each_setting_shows_its_own_part() {
        let gateway = FailureClassifier { timeout: Verdict::Ignored, ..FailureClassifier::gateway() };
        let shown = ClassifierSetting::ALL.map(|setting| setting.value(&gateway));
        assert_eq!(shown, ["[502, 503, 504]", "[]", "failure", "failure", "ignored", "failure", "failure"]);
    }
}
