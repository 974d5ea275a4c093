//! Random runs of the breaker against a naive model: outcomes, stragglers, lost and abandoned probes, hanging calls, new
//! policies, overrides, clocks that jump and clocks that step back.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod breaker_model;

use std::num::NonZeroU32;
use std::time::Duration;

use breaker_model::{Change, Model, Phase};
use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, FailureCount, Force, HalfOpenPolicy, Mode, OpenPolicy, Override, Percent,
    RampPolicy, Recorder, SlowPolicy, State, StatusSet, Ticket, Transitions, TripPolicy, WindowPolicy,
};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};
use proptest::prelude::*;

const WORKERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Admit { worker: usize },
    Record { which: usize, outcome: Outcome },
    Abandon { which: usize },
    Sweep { worker: usize },
    Tick,
    Order(Order),
}

/// What comes from outside.
#[derive(Debug, Clone)]
enum Order {
    Force { open: bool, millis: u64 },
    Lift,
    Reset,
    Reconfigure(Box<BreakerPolicy>),
}

fn millis(from: u64, to: u64) -> impl Strategy<Value = Duration> {
    (from..to).prop_map(Duration::from_millis)
}

fn count(from: u32, to: u32) -> impl Strategy<Value = NonZeroU32> {
    (from..to).prop_map(|count| NonZeroU32::new(count).unwrap())
}

fn share() -> impl Strategy<Value = Percent> {
    (1_u8..=100).prop_map(|percent| Percent::new(percent).unwrap())
}

fn window() -> impl Strategy<Value = WindowPolicy> {
    prop_oneof![
        count(1, 20).prop_map(WindowPolicy::Calls),
        (1_u64..20, count(1, 8)).prop_map(|(bucket, buckets)| WindowPolicy::Time {
            length: Duration::from_millis(bucket * 10) * buckets.get(),
            buckets,
        }),
    ]
}

prop_compose! {
    fn trip()(
        consecutive_failures in proptest::option::of(count(1, 6)),
        failures in proptest::option::weighted(0.3, (count(1, 6), millis(0, 300))),
        failure_percent in proptest::option::of(share()),
        slow in proptest::option::of((millis(0, 150), share())),
        minimum_calls in 0_u32..10,
    ) -> TripPolicy {
        TripPolicy {
            consecutive_failures,
            failures: failures.map(|(count, within)| FailureCount { count, within }),
            failure_percent,
            slow: slow.map(|(slower_than, percent)| SlowPolicy { slower_than, percent }),
            minimum_calls,
        }
    }
}

prop_compose! {
    fn policy()(
        mode in prop_oneof![6 => Just(Mode::Enforce), 3 => Just(Mode::Shadow), 1 => Just(Mode::Disabled)],
        window in window(),
        trip in trip(),
        open_for in millis(1, 300),
        max_open_for in millis(1, 1_500),
        factor in prop_oneof![Just(1.0), Just(2.0), Just(4.0)],
        decay in millis(1, 1_000),
        half_open in (count(1, 4), count(1, 4), millis(1, 200), millis(1, 400)),
        ramp_for in prop_oneof![Just(0), 1_u64..400],
        failure_percent in share(),
        minimum_calls in 0_u32..6,
    ) -> BreakerPolicy {
        let (probes, successes, lease, patience) = half_open;
        let mut policy = BreakerPolicy {
            mode,
            window,
            trip,
            open: OpenPolicy { open_for, factor, max_open_for, jitter_percent: 0, decay },
            half_open: HalfOpenPolicy { probes, successes, lease, patience },
            ramp: RampPolicy { ramp_for: Duration::from_millis(ramp_for), failure_percent, minimum_calls },
            ..BreakerPolicy::default()
        };
        policy.classifier.ignored = StatusSet::of(&[404]);
        policy
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Success { status: 200 }),
        4 => Just(Outcome::of_status(503)),
        1 => Just(Outcome::Failure(FailureKind::Timeout)),
        1 => Just(Outcome::Success { status: 404 }),
        1 => Just(Outcome::Abandoned),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0_u64..60).prop_map(Step::Wait),
        1 => (0_u64..5_000).prop_map(Step::Wait),
        50 => (0..WORKERS).prop_map(|worker| Step::Admit { worker }),
        45 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Step::Record { which, outcome }),
        4 => any::<usize>().prop_map(|which| Step::Abandon { which }),
        10 => (0..WORKERS).prop_map(|worker| Step::Sweep { worker }),
        4 => Just(Step::Tick),
        2 => (any::<bool>(), 0_u64..500).prop_map(|(open, millis)| Step::Order(Order::Force { open, millis })),
        1 => Just(Step::Order(Order::Lift)),
        1 => Just(Step::Order(Order::Reset)),
        2 => policy().prop_map(|policy| Step::Order(Order::Reconfigure(Box::new(policy)))),
    ]
}

fn seen(transitions: Transitions) -> impl Iterator<Item = Change> {
    transitions.into_iter().map(|it| (it.to, it.cause.token(), it.at, it.open_until))
}

fn run(policy: BreakerPolicy, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let breaker = Breaker::new(policy.clone(), Instant::ZERO);
    let recorders: Vec<Recorder> = (0..WORKERS).map(|_| breaker.recorder()).collect();
    let mut model = Model::new(policy);
    let mut calls: Vec<(usize, usize, Ticket<'_>)> = Vec::new();
    let (mut now, mut rng, mut changes) = (Instant::ZERO, Rng::new(1), Vec::new());
    for step in steps {
        let mut first = 0;
        match step {
            // Nobody looks: what was due meanwhile is found by the step that follows.
            Step::Wait(millis) => {
                now = now + Duration::from_millis(millis);
                continue;
            }
            Step::Admit { worker } => {
                let (ticket, transitions) = recorders[worker].admit(now, &mut rng);
                changes.extend(seen(transitions));
                match (ticket, model.admit(worker, now)) {
                    (Ok(ticket), Ok(id)) => calls.push((id, worker, ticket)),
                    (Err(refusal), Err(by)) => {
                        prop_assert_eq!(refusal.by, by);
                        prop_assert!(!refusal.retry_after.is_zero());
                    }
                    (ours, theirs) => prop_assert!(false, "{:?} but {:?}", ours, theirs),
                }
            }
            Step::Record { which, outcome } if !calls.is_empty() => {
                let (id, worker, ticket) = calls.remove(which % calls.len());
                first = worker;
                changes.extend(seen(ticket.record(outcome, now, &mut rng)));
                model.record(id, outcome, now);
            }
            Step::Abandon { which } if !calls.is_empty() => {
                let (id, _, ticket) = calls.remove(which % calls.len());
                drop(ticket);
                model.abandon(id);
            }
            Step::Record { .. } | Step::Abandon { .. } => {}
            Step::Sweep { worker } => {
                changes.extend(seen(breaker.tick(now, &mut rng)));
                model.advance(now);
                changes.extend(seen(recorders[worker].sweep(now, &mut rng)));
                model.sweep(worker, now);
            }
            Step::Tick => {
                changes.extend(seen(breaker.tick(now, &mut rng)));
                model.advance(now);
            }
            Step::Order(order) => obey(order, &breaker, &mut model, now, &mut rng, &mut changes),
        }
        hand_over(&recorders, first, &mut model, now, &mut rng, &mut changes);
        prop_assert_eq!(&changes, &model.changes);
        compare(&breaker, &model, now)?;
    }
    drop(calls);
    prop_assert_eq!(breaker.view(now).probes_out, 0, "every lease comes back");
    Ok(())
}

/// Carries an order out, after what was due before it.
fn obey(
    order: Order,
    breaker: &Breaker,
    model: &mut Model,
    now: Instant,
    rng: &mut Rng,
    changes: &mut Vec<Change>,
) {
    changes.extend(seen(breaker.tick(now, rng)));
    model.advance(now);
    match order {
        Order::Force { open, millis } => {
            let force = if open { Force::Open } else { Force::Closed };
            let until = now + Duration::from_millis(millis);
            let order = Override { force, until, reason: "drill".into(), by: "me".into() };
            changes.extend(seen(breaker.force(order.clone(), now)));
            model.force(order, now);
        }
        Order::Lift => {
            changes.extend(seen(breaker.lift(now)));
            model.lift(now);
        }
        Order::Reset => {
            changes.extend(seen(breaker.reset("drill", now)));
            model.reset(now);
        }
        Order::Reconfigure(policy) => {
            changes.extend(seen(breaker.reconfigure((*policy).clone(), now)));
            model.reconfigure(*policy, now);
        }
    }
}

/// Nothing is kept, so that the two may be compared exactly. The worker that has just counted a call is the first: the model
/// has judged that call before it looks at calls in flight.
fn hand_over(
    recorders: &[Recorder],
    first: usize,
    model: &mut Model,
    now: Instant,
    rng: &mut Rng,
    changes: &mut Vec<Change>,
) {
    for worker in (0..recorders.len()).map(|place| (first + place) % recorders.len()) {
        let recorder = &recorders[worker];
        // As the step before has done: a call that became slow is met in the model at the same moment.
        changes.extend(seen(recorder.breaker().tick(now, rng)));
        model.advance(now);
        changes.extend(seen(recorder.sweep(now, rng)));
        model.sweep(worker, now);
    }
}

fn compare(breaker: &Breaker, model: &Model, now: Instant) -> Result<(), TestCaseError> {
    let view = breaker.view(now);
    prop_assert_eq!(view.state, model.state());
    prop_assert_eq!(breaker.state(), model.state());
    prop_assert_eq!(view.window, model.tally(now));
    prop_assert_eq!(view.consecutive_failures, model.streak);
    prop_assert_eq!(view.trips, model.trips);
    prop_assert_eq!(view.would_have_refused, model.let_pass);
    if let Phase::HalfOpen { probes, good, .. } = &model.phase {
        prop_assert_eq!((view.probes_out as usize, view.good_probes), (probes.len(), *good));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_breaker_does_what_the_model_does(policy in policy(), steps in prop::collection::vec(step(), 1..300)) {
        run(policy, steps)?;
    }

    /// In buckets of time, keeping good calls back changes no trip that a failure brings about.
    #[test]
    fn keeping_good_calls_back_hides_nothing_from_a_failure(
        steps in prop::collection::vec((0_u64..30, 0..WORKERS, prop::bool::weighted(0.1)), 1..600),
        percent in share(),
        minimum_calls in 0_u32..30,
    ) {
        let window = WindowPolicy::Time { length: Duration::from_millis(500), buckets: NonZeroU32::new(5).unwrap() };
        let trip = TripPolicy { failure_percent: Some(percent), minimum_calls, ..TripPolicy::default() };
        let policy = BreakerPolicy { window, trip, ..BreakerPolicy::default() };
        let model = &mut Model::new(policy.clone());
        let breaker = Breaker::new(policy, Instant::ZERO);
        let recorders: Vec<Recorder> = (0..WORKERS).map(|_| breaker.recorder()).collect();
        let (mut now, mut rng) = (Instant::ZERO, Rng::new(1));
        for (wait, worker, fails) in steps {
            now = now + Duration::from_millis(wait);
            let outcome = if fails { Outcome::of_status(500) } else { Outcome::of_status(200) };
            let id = model.admit(0, now).unwrap();
            model.record(id, outcome, now);
            let (ticket, _) = recorders[worker].admit(now, &mut rng);
            let opened = ticket.unwrap().record(outcome, now, &mut rng);
            if fails {
                prop_assert_eq!(breaker.state(), model.state());
                if let Some(opened) = opened.first() {
                    prop_assert_eq!(opened.cause.token(), "failure_percent");
                }
            }
            // A good call that completes the minimum may wait; that is the lateness that is allowed.
            if model.state() == State::Open {
                break;
            }
        }
    }

    #[test]
    fn a_clock_that_steps_back_breaks_nothing(
        policy in policy(),
        steps in prop::collection::vec((0_u64..2_000, 0..WORKERS, outcome(), 0_u8..6), 1..300),
    ) {
        let breaker = Breaker::new(policy.clone(), Instant::ZERO);
        let recorders: Vec<Recorder> = (0..WORKERS).map(|_| breaker.recorder()).collect();
        let (mut rng, mut calls, mut latest) = (Rng::new(1), Vec::new(), 0);
        for (millis, worker, outcome, what) in steps {
            let now = Instant::from_millis(millis);
            latest = latest.max(millis);
            match what {
                0..=2 => calls.extend(recorders[worker].admit(now, &mut rng).0.ok()),
                3 => drop(calls.pop()),
                4 => drop(recorders[worker].sweep(now, &mut rng)),
                _ => drop(calls.pop().map(|ticket: Ticket<'_>| ticket.record(outcome, now, &mut rng))),
            }
            let view = breaker.view(now);
            prop_assert!(view.window.failures <= view.window.calls && view.window.slow <= view.window.calls);
            prop_assert!(view.probes_out <= policy.half_open.probes.get());
        }
        drop(calls);
        // No wedge: good calls close it in bounded time, wherever it stood.
        let mut now = Instant::from_millis(latest);
        for _ in 0..4_000 {
            now = now + Duration::from_millis(5);
            if let (Ok(ticket), _) = recorders[0].admit(now, &mut rng) {
                let _ = ticket.record(Outcome::of_status(200), now, &mut rng);
            }
        }
        let view = breaker.view(now);
        prop_assert!(view.state == State::Closed && view.traffic_percent == 100, "{:?}", view);
    }
}
