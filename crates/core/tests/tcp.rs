//! The life of a TCP connection against a naive model that remembers everything and looks at it anew each millisecond.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use fuseboard_core::Instant;
use fuseboard_core::tcp::{DRAIN_IDLE, Ending, Life, Lifetimes};
use proptest::collection::vec;
use proptest::prelude::*;

/// So many milliseconds later.
#[derive(Clone, Copy, Debug)]
enum Step {
    Move(u64),
    Drain(u64),
    /// Nothing happens.
    Pass(u64),
}

/// All that happened, by the millisecond.
#[derive(Default)]
struct Model {
    moves: Vec<u64>,
    drains: bool,
}

impl Model {
    fn due(&self, idle: Option<u64>, age: Option<u64>, now: u64) -> Option<Ending> {
        let quiet = now - self.moves.iter().copied().max().unwrap_or(0);
        let drain = u64::try_from(DRAIN_IDLE.as_millis()).unwrap();
        match () {
            () if age.is_some_and(|age| now >= age) => Some(Ending::Aged),
            () if idle.is_some_and(|idle| quiet >= idle) => Some(Ending::Idle),
            () if self.drains && quiet >= drain => Some(Ending::Drained),
            () => None,
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..400_u64).prop_map(Step::Move),
        1 => (0..400_u64).prop_map(Step::Drain),
        3 => (0..3_000_u64).prop_map(Step::Pass),
    ]
}

fn bound() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![1 => Just(None), 4 => (1..4_000_u64).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_connection_ends_at_the_millisecond_of_the_naive_model_and_its_deadline_is_that_millisecond(
        idle in bound(),
        age in bound(),
        steps in vec(step(), 1..40),
    ) {
        let millis = |bound: Option<u64>| bound.map(Duration::from_millis);
        let mut life = Life::new(Lifetimes { idle: millis(idle), age: millis(age) }, Instant::ZERO);
        let (mut model, mut now) = (Model::default(), 0);
        'steps: for step in steps {
            let (Step::Move(later) | Step::Drain(later) | Step::Pass(later)) = step;
            for passing in now..now + later {
                let at = Instant::from_millis(passing);
                let expected = model.due(idle, age, passing);
                prop_assert_eq!(life.due(at), expected);
                prop_assert_eq!(life.deadline().is_some_and(|deadline| deadline <= at), expected.is_some());
                if expected.is_some() {
                    break 'steps;
                }
            }
            now += later;
            match step {
                Step::Move(_) => {
                    life.moved(Instant::from_millis(now));
                    model.moves.push(now);
                }
                Step::Drain(_) => {
                    life.drain();
                    model.drains = true;
                }
                Step::Pass(_) => {}
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_connection_older(moves in vec(0..10_000_u64, 1..20)) {
        let mut life = Life::new(Lifetimes { idle: Some(Duration::from_millis(7)), age: None }, Instant::ZERO);
        for at in &moves {
            life.moved(Instant::from_millis(*at));
        }
        let last = moves.iter().max().unwrap();
        prop_assert_eq!(life.deadline(), Some(Instant::from_millis(last + 7)));
    }
}
