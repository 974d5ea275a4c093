//! What counts as a failure for outlier detection, where a policy says it: every status and every end without an answer, under
//! several classifiers, with the split and without.
#![cfg(not(loom))]

use fuseboard_core::classifier::{FailureClassifier, StatusSet, Verdict};
use fuseboard_core::outlier::{DetectionKind, Detector, HostMonitor, OutlierPolicy};
use fuseboard_core::{FailureKind, Outcome};
use fuseboard_grpc::{Code, CodeSet};

const LOCAL: [FailureKind; 6] = [
    FailureKind::ConnectFailed,
    FailureKind::ConnectTimeout,
    FailureKind::Timeout,
    FailureKind::Reset,
    FailureKind::StreamRefused,
    FailureKind::ProtocolError,
];

fn classifiers() -> Vec<FailureClassifier> {
    let default = FailureClassifier::default;
    vec![
        default(),
        FailureClassifier::gateway(),
        FailureClassifier { failures: StatusSet::of(&[429]), ..default() },
        FailureClassifier { failures: StatusSet::of(&[429, 503]), ignored: StatusSet::class(4), ..default() },
        FailureClassifier {
            failures: StatusSet::EMPTY,
            connect_failed: Verdict::Ignored,
            connect_timeout: Verdict::Ignored,
            timeout: Verdict::Ignored,
            reset: Verdict::Ignored,
            protocol_error: Verdict::Ignored,
            ..default()
        },
    ]
}

/// What one outcome does to the streaks of 5xx, gateway failures and local failures that stood at one.
fn streaks_after(outcome: Outcome, classifier: Option<FailureClassifier>, split: bool) -> [u32; 3] {
    let detector = Detector { threshold: 9, enforcing_percent: 100 };
    let mut policy = OutlierPolicy {
        consecutive_5xx: detector,
        consecutive_gateway_failure: detector,
        consecutive_local_origin_failure: detector,
        split_external_local_origin_errors: true,
        ..OutlierPolicy::default()
    };
    let host = HostMonitor::new("host", 0);
    // An answer ends the local streak, so it comes first.
    for begin in [Outcome::of_status(503), Outcome::Failure(FailureKind::ConnectFailed)] {
        assert_eq!(host.record(host.begin(), begin, &policy), None);
    }
    policy.classifier = classifier.map(Box::new);
    policy.split_external_local_origin_errors = split;
    assert_eq!(host.record(host.begin(), outcome, &policy), None);
    DetectionKind::STREAKS.map(|kind| host.streak(kind))
}

#[test]
fn p11_each_status_counts_as_the_classifier_says_and_not_otherwise() {
    for classifier in classifiers() {
        for status in 100..=599 {
            let expected = if classifier.ignored.contains(status) {
                [1, 1, 1]
            } else if classifier.failures.contains(status) {
                [2, if matches!(status, 502..=504) { 2 } else { 0 }, 0]
            } else {
                [0, 0, 0]
            };
            for split in [false, true] {
                let after = streaks_after(Outcome::of_status(status), Some(classifier.clone()), split);
                assert_eq!(after, expected, "{status} under {classifier:?}, split {split}");
            }
        }
    }
}

#[test]
fn p11_each_end_without_an_answer_counts_as_the_classifier_says() {
    for classifier in classifiers() {
        for kind in LOCAL {
            let counts = match kind {
                FailureKind::ConnectFailed => classifier.connect_failed,
                FailureKind::ConnectTimeout => classifier.connect_timeout,
                FailureKind::Timeout => classifier.timeout,
                FailureKind::Reset | FailureKind::StreamRefused => classifier.reset,
                FailureKind::ProtocolError => classifier.protocol_error,
                FailureKind::Status(_) => Verdict::Success,
            } == Verdict::Failure;
            let connected = !matches!(kind, FailureKind::ConnectFailed | FailureKind::ConnectTimeout);
            let outcome = Outcome::Failure(kind);
            let together = streaks_after(outcome, Some(classifier.clone()), false);
            // An answer made by us, 503 or 504, and so no connection that ends the local streak.
            assert_eq!(together, if counts { [2, 2, 0] } else { [1, 1, 1] }, "{kind:?} under {classifier:?}");
            let apart = streaks_after(outcome, Some(classifier.clone()), true);
            let local = if connected { 1 } else { 2 };
            assert_eq!(
                apart,
                if counts { [1, 1, local] } else { [1, 1, 1] },
                "{kind:?}, split, {classifier:?}"
            );
        }
        assert_eq!(streaks_after(Outcome::Abandoned, Some(classifier), false), [1, 1, 1]);
    }
}

#[test]
fn p11_without_a_classifier_nothing_is_different_from_the_default_one() {
    let outcomes = (100..=599).map(Outcome::of_status).chain(LOCAL.map(Outcome::Failure));
    for outcome in outcomes.chain([Outcome::Abandoned]) {
        for split in [false, true] {
            let without = streaks_after(outcome, None, split);
            assert_eq!(
                streaks_after(outcome, Some(FailureClassifier::default()), split),
                without,
                "{outcome:?}"
            );
        }
    }
}

#[test]
fn p11_the_detectors_that_are_off_stay_off() {
    let off = Detector { threshold: 0, enforcing_percent: 0 };
    let policy = OutlierPolicy {
        consecutive_5xx: off,
        consecutive_gateway_failure: Detector { threshold: 2, enforcing_percent: 100 },
        classifier: Some(Box::new(FailureClassifier::gateway())),
        ..OutlierPolicy::default()
    };
    let host = HostMonitor::new("host", 0);
    for status in [500, 501, 429, 502, 500, 503, 200] {
        assert_eq!(host.record(host.begin(), Outcome::of_status(status), &policy), None, "{status}");
        assert_eq!(host.streak(DetectionKind::Consecutive5xx), 0);
    }
    host.record(host.begin(), Outcome::of_status(503), &policy);
    let trip = host.record(host.begin(), Outcome::of_status(502), &policy).map(|trip| trip.kinds().count());
    assert_eq!(trip, Some(1));
}

#[test]
fn d44_p11_a_call_counts_as_what_stands_for_its_code_unless_the_code_is_named() {
    let named = FailureClassifier {
        failing_codes: CodeSet::EMPTY.with(Code::ResourceExhausted),
        ignored_codes: CodeSet::EMPTY.with(Code::Unavailable),
        ..FailureClassifier::default()
    };
    for (code, without, with) in [
        (Code::Ok, [0, 0, 0], [0, 0, 0]),
        (Code::NotFound, [0, 0, 0], [0, 0, 0]),
        // A failure that stands for less than 500 is one of 500.
        (Code::ResourceExhausted, [0, 0, 0], [2, 0, 0]),
        (Code::Unavailable, [2, 2, 0], [1, 1, 1]),
        (Code::Internal, [2, 0, 0], [2, 0, 0]),
    ] {
        assert_eq!(streaks_after(Outcome::Called(code), None, true), without, "{code}");
        assert_eq!(streaks_after(Outcome::Called(code), Some(named.clone()), true), with, "{code}");
    }
}
