//! What counts as a failure, put together from several resources field by field; the same for all that ask.

use fuseboard_api::fuseboard::failures::{Failures, Weight};
use fuseboard_api::scalar::IntOrText;
use fuseboard_api::{List, Span, Spanned};
use fuseboard_core::classifier::{FailureClassifier, StatusSet, Verdict};
use fuseboard_grpc::CodeSet;
use fuseboard_snapshot::ClassifierSetting;

use crate::status_class;

/// Where `setting` is written in a block, if it is.
pub(super) fn span_of(block: &Failures, setting: ClassifierSetting) -> Option<Span> {
    match setting {
        ClassifierSetting::Statuses => block.statuses.as_ref().map(|list| list.span),
        ClassifierSetting::IgnoredStatuses => block.ignored_statuses.as_ref().map(|list| list.span),
        _ => weight(block, setting).map(|weight| weight.span),
    }
}

const fn weight(block: &Failures, setting: ClassifierSetting) -> Option<&Spanned<Weight>> {
    match setting {
        ClassifierSetting::ConnectFailures => block.connect_failures.as_ref(),
        ClassifierSetting::ConnectTimeouts => block.connect_timeouts.as_ref(),
        ClassifierSetting::Timeouts => block.timeouts.as_ref(),
        ClassifierSetting::Resets => block.resets.as_ref(),
        ClassifierSetting::ProtocolErrors => block.protocol_errors.as_ref(),
        ClassifierSetting::Statuses | ClassifierSetting::IgnoredStatuses => None,
    }
}

/// The classifier of the blocks that `closest` gives: for each setting, the closest one that has it.
pub(super) fn classifier<'a>(
    mut closest: impl FnMut(ClassifierSetting) -> Option<&'a Failures>,
) -> FailureClassifier {
    let default = FailureClassifier::default();
    let failures = closest(ClassifierSetting::Statuses).and_then(|block| block.statuses.as_deref());
    let ignored =
        closest(ClassifierSetting::IgnoredStatuses).and_then(|block| block.ignored_statuses.as_deref());
    let mut verdict = |setting, default| {
        let weight = closest(setting).and_then(|block| weight(block, setting));
        weight.map_or(default, |weight| match weight.value {
            Weight::Failure => Verdict::Failure,
            Weight::Ignored => Verdict::Ignored,
        })
    };
    FailureClassifier {
        failures: failures.map_or(default.failures, statuses),
        ignored: ignored.map_or(default.ignored, statuses),
        failing_codes: failures.map_or(default.failing_codes, codes),
        ignored_codes: ignored.map_or(default.ignored_codes, codes),
        connect_failed: verdict(ClassifierSetting::ConnectFailures, default.connect_failed),
        connect_timeout: verdict(ClassifierSetting::ConnectTimeouts, default.connect_timeout),
        timeout: verdict(ClassifierSetting::Timeouts, default.timeout),
        reset: verdict(ClassifierSetting::Resets, default.reset),
        protocol_error: verdict(ClassifierSetting::ProtocolErrors, default.protocol_error),
    }
}

fn statuses(list: &List<IntOrText>) -> StatusSet {
    list.iter().fold(StatusSet::EMPTY, |set, status| match &status.value {
        IntOrText::Int(number) => u16::try_from(*number).map_or(set, |status| set.with(status)),
        IntOrText::Text(text) => status_class::parse(text).map_or(set, |class| set.and(&class)),
    })
}

fn codes(list: &List<IntOrText>) -> CodeSet {
    let named = list.iter().filter_map(|answer| match &answer.value {
        IntOrText::Text(text) => status_class::code(text),
        IntOrText::Int(_) => None,
    });
    named.collect()
}
