//! Retry decisions judged from outside: Envoy's conditions as a table, its accounting as a model, its back-off as bounds.
#![cfg(not(loom))]
#![expect(
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "a panic is how a test fails; a limit that always grants is still a limit"
)]

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::retry::{Answer, RetryDecision, RetryOn, RetryPolicy, RetryState};
use fuseboard_core::{FailureKind, Rng};
use proptest::prelude::*;

fn state(retry_on: RetryOn, num_retries: u32) -> RetryState<u32> {
    RetryState::new(Arc::new(RetryPolicy { retry_on, num_retries, ..RetryPolicy::istio_default() }))
}

fn http(status: u16) -> Answer {
    Answer { status, grpc_status: None, rate_limited: false, not_processed: false }
}

fn grpc(grpc_status: u32) -> Answer {
    Answer { status: 200, grpc_status: Some(grpc_status), rate_limited: false, not_processed: false }
}

fn granted() -> Result<(), &'static str> {
    Ok(())
}

fn full() -> Result<(), &'static str> {
    Err("full")
}

fn after_answer(state: &mut RetryState<u32>, answer: Answer) -> RetryDecision<(), &'static str> {
    state.on_answer(answer, granted, &mut Rng::new(1))
}

fn after_failure(
    state: &mut RetryState<u32>,
    failure: FailureKind,
    sent: bool,
) -> RetryDecision<(), &'static str> {
    state.on_failure(failure, sent, granted, &mut Rng::new(1))
}

fn is_retry<P, E>(decision: &RetryDecision<P, E>) -> bool {
    matches!(decision, RetryDecision::Retry { .. })
}

#[test]
fn each_condition_asks_for_its_answers_and_for_no_others() {
    type Expected = fn(u16) -> bool;
    let by_status: [(RetryOn, Expected); 8] = [
        (RetryOn::FIVE_XX, |status| (500..600).contains(&status)),
        (RetryOn::GATEWAY_ERROR, |status| (502..=504).contains(&status)),
        (RetryOn::RETRIABLE_4XX, |status| status == 409),
        (RetryOn::RESET, |_| false),
        (RetryOn::RESET_BEFORE_REQUEST, |_| false),
        (RetryOn::CONNECT_FAILURE, |_| false),
        (RetryOn::REFUSED_STREAM, |_| false),
        (RetryOn::UNAVAILABLE, |_| false),
    ];
    for (condition, expected) in by_status {
        for status in 100..=999 {
            let retried = is_retry(&after_answer(&mut state(condition, 1), http(status)));
            assert_eq!(retried, expected(status), "{condition:?}, status {status}");
        }
    }
}

#[test]
fn listed_statuses_are_retried_only_under_their_condition() {
    let policy = |retry_on| RetryPolicy {
        retry_on,
        retriable_status_codes: vec![429, 503],
        ..RetryPolicy::istio_default()
    };
    for status in 100..=999 {
        let mut listed = RetryState::<u32>::new(Arc::new(policy(RetryOn::RETRIABLE_STATUS_CODES)));
        assert_eq!(
            is_retry(&after_answer(&mut listed, http(status))),
            matches!(status, 429 | 503),
            "{status}"
        );
        let mut other = RetryState::<u32>::new(Arc::new(policy(RetryOn::CONNECT_FAILURE)));
        assert!(!is_retry(&after_answer(&mut other, http(status))), "{status}");
    }
}

#[test]
fn grpc_conditions_look_at_the_status_in_the_head() {
    for (condition, wanted) in [(RetryOn::CANCELLED, 1), (RetryOn::UNAVAILABLE, 14)] {
        for status in 0..=16 {
            assert_eq!(is_retry(&after_answer(&mut state(condition, 1), grpc(status))), status == wanted);
        }
    }
}

#[test]
fn p52_what_no_host_has_processed_is_tried_again_as_often_as_the_policy_says() {
    let policy = RetryPolicy { retry_on: RetryOn::default(), num_retries: 1, ..RetryPolicy::istio_default() };
    let (mut state, mut rng) = (RetryState::<u8>::new(Arc::new(policy)), Rng::new(1));
    let refused = Answer { not_processed: true, ..http(503) };
    let mut ask = |answer| state.on_answer(answer, || Ok::<_, ()>(()), &mut rng);
    assert!(matches!(ask(http(503)), RetryDecision::NotWanted { .. }));
    assert!(matches!(ask(refused), RetryDecision::Retry { .. }));
    assert_eq!(ask(refused), RetryDecision::LimitExceeded);
    assert!(matches!(ask(Answer { rate_limited: true, ..refused }), RetryDecision::NotWanted { .. }));
}

#[test]
fn an_answer_that_says_it_was_rate_limited_is_never_retried() {
    let answer = Answer { rate_limited: true, ..http(503) };
    assert!(!is_retry(&after_answer(&mut state(RetryOn::FIVE_XX, 1), answer)));
}

#[test]
fn each_condition_asks_for_its_failures_and_for_no_others() {
    use FailureKind::{ConnectFailed, ConnectTimeout, ProtocolError, Reset, Timeout};
    type Expected = fn(FailureKind, bool) -> bool;
    let table: [(RetryOn, Expected); 9] = [
        (RetryOn::FIVE_XX, |_, _| true),
        (RetryOn::GATEWAY_ERROR, |_, _| true),
        (RetryOn::RESET, |_, _| true),
        (RetryOn::RESET_BEFORE_REQUEST, |_, sent| !sent),
        (RetryOn::CONNECT_FAILURE, |kind, _| matches!(kind, ConnectFailed | ConnectTimeout)),
        (RetryOn::REFUSED_STREAM, |_, _| false),
        (RetryOn::RETRIABLE_4XX, |_, _| false),
        (RetryOn::RETRIABLE_STATUS_CODES, |_, _| false),
        (RetryOn::UNAVAILABLE, |_, _| false),
    ];
    for (condition, expected) in table {
        for kind in [ConnectFailed, ConnectTimeout, Timeout, Reset, ProtocolError] {
            for sent in [false, true].into_iter().filter(|&sent| !(sent && kind.is_connect())) {
                let retried = is_retry(&after_failure(&mut state(condition, 1), kind, sent));
                assert_eq!(retried, expected(kind, sent), "{condition:?}, {kind:?}, sent: {sent}");
            }
        }
    }
}

#[test]
fn istios_default_retries_refused_connects_twice_and_neither_503_nor_a_reset_after_the_request() {
    let mut default = RetryState::<u32>::new(Arc::new(RetryPolicy::istio_default()));
    assert_eq!(after_answer(&mut default, http(503)), RetryDecision::NotWanted { succeeded: false });
    assert_eq!(
        after_failure(&mut default, FailureKind::Reset, true),
        RetryDecision::NotWanted { succeeded: false }
    );
    let decisions: Vec<_> =
        (0..3).map(|_| after_failure(&mut default, FailureKind::ConnectFailed, false)).collect();
    assert!(is_retry(&decisions[0]) && is_retry(&decisions[1]));
    assert_eq!(decisions[2], RetryDecision::LimitExceeded, "URX");
}

#[test]
fn a_final_answer_after_a_retry_is_a_success_of_the_retry_and_a_failure_is_not() {
    let mut one = state(RetryOn::CONNECT_FAILURE, 2);
    assert!(is_retry(&after_failure(&mut one, FailureKind::ConnectFailed, false)));
    assert_eq!(after_answer(&mut one, http(200)), RetryDecision::NotWanted { succeeded: true });
    let mut other = state(RetryOn::CONNECT_FAILURE, 2);
    assert!(is_retry(&after_failure(&mut other, FailureKind::ConnectFailed, false)));
    assert_eq!(
        after_failure(&mut other, FailureKind::Reset, true),
        RetryDecision::NotWanted { succeeded: false }
    );
}

#[test]
fn a_full_limit_costs_one_of_the_retries_and_is_asked_only_when_one_is_left() {
    let mut state = state(RetryOn::FIVE_XX, 2);
    let mut rng = Rng::new(1);
    assert_eq!(state.on_answer(http(503), full, &mut rng), RetryDecision::Overflow("full"));
    assert_eq!(state.on_answer(http(503), full, &mut rng), RetryDecision::Overflow("full"));
    let never = || -> Result<(), &'static str> { panic!("asked without need") };
    assert_eq!(state.on_answer(http(503), never, &mut rng), RetryDecision::LimitExceeded);
    assert_eq!(state.on_answer(http(200), never, &mut rng), RetryDecision::NotWanted { succeeded: false });
}

fn waits(seed: u64, base: Duration, max: Duration) -> Vec<Duration> {
    let policy = RetryPolicy {
        retry_on: RetryOn::RESET,
        num_retries: 6,
        base_interval: base,
        max_interval: max,
        ..RetryPolicy::istio_default()
    };
    let mut state = RetryState::<u32>::new(Arc::new(policy));
    let mut rng = Rng::new(seed);
    (0..6)
        .map(|_| match state.on_failure(FailureKind::Reset, true, granted, &mut rng) {
            RetryDecision::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn waits_are_fully_jittered_below_bounds_that_double_up_to_the_maximum() {
    let bounds = [25, 50, 100, 200, 250, 250].map(Duration::from_millis);
    let (mut total, mut longest, mut shortest) = (Duration::ZERO, [Duration::ZERO; 6], [Duration::MAX; 6]);
    for seed in 0..2_000 {
        for (index, wait) in
            waits(seed, Duration::from_millis(25), Duration::from_millis(250)).into_iter().enumerate()
        {
            assert!(wait < bounds[index]);
            longest[index] = longest[index].max(wait);
            shortest[index] = shortest[index].min(wait);
            total += wait;
        }
    }
    for (index, bound) in bounds.into_iter().enumerate() {
        assert!(
            longest[index] > bound.mul_f64(0.98) && shortest[index] < bound.mul_f64(0.02),
            "the whole range is used"
        );
    }
    let mean = total / 2_000;
    assert!((425..450).contains(&mean.as_millis()), "six retries take 437 ms on average; measured {mean:?}");
}

#[test]
fn a_base_above_the_maximum_is_cut_and_none_means_at_once() {
    assert!(
        waits(1, Duration::from_secs(9), Duration::from_millis(1))
            .iter()
            .all(|wait| *wait < Duration::from_millis(1))
    );
    assert_eq!(waits(1, Duration::ZERO, Duration::ZERO), [Duration::ZERO; 6]);
}

#[test]
fn hosts_of_earlier_tries_are_remembered() {
    let mut state = state(RetryOn::RESET, 2);
    assert!(!state.was_tried(&7));
    state.note_host(7);
    state.note_host(9);
    assert_eq!([7, 8, 9].map(|host| state.was_tried(&host)), [true, false, true]);
}

proptest! {
    #[test]
    fn retries_never_exceed_the_number_given_and_each_decision_has_one_reason(
        num_retries in 0_u32..6,
        tries in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..20),
    ) {
        let mut state = state(RetryOn::FIVE_XX, num_retries);
        let (mut left, mut retried) = (num_retries, 0);
        let mut rng = Rng::new(1);
        for (fails, room) in tries {
            let answer = http(if fails { 503 } else { 200 });
            let decision = state.on_answer(answer, if room { granted } else { full }, &mut rng);
            let expected = match (fails, left, room) {
                (false, _, _) => RetryDecision::NotWanted { succeeded: retried > 0 },
                (true, 0, _) => RetryDecision::LimitExceeded,
                (true, _, false) => RetryDecision::Overflow("full"),
                (true, _, true) => {
                    prop_assert!(is_retry(&decision));
                    (left, retried) = (left - 1, retried + 1);
                    continue;
                }
            };
            left -= u32::from(matches!(expected, RetryDecision::Overflow(_)));
            prop_assert_eq!(decision, expected);
            prop_assert!(retried <= num_retries);
        }
    }
}
