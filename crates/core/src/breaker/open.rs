//! How long the next open time is: grows with each trip, shrinks with time spent closed.

use std::time::Duration;

use super::OpenPolicy;
use crate::rng::Rng;

#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Steps by which the next open time has grown.
    steps: u32,
}

impl Backoff {
    /// The time for a trip, and one step more for the next.
    pub(super) fn grow(&mut self, policy: &OpenPolicy, rng: &mut Rng) -> Duration {
        let time = open_time(policy, self.steps, rng);
        self.steps = self.steps.saturating_add(1);
        time
    }

    /// The time of the last trip once more, for when nothing was learned since.
    pub(super) fn repeat(&self, policy: &OpenPolicy, rng: &mut Rng) -> Duration {
        open_time(policy, self.steps.saturating_sub(1), rng)
    }

    /// One step less for each `decay` spent closed.
    pub(super) fn decay(&mut self, policy: &OpenPolicy, closed_for: Duration) {
        let steps = closed_for.as_nanos().checked_div(policy.decay.as_nanos()).unwrap_or(u128::MAX);
        self.steps = self.steps.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
    }
}

/// The longest that an open time can be by these numbers.
pub(super) fn longest(policy: &OpenPolicy) -> Duration {
    let time = policy.max_open_for.max(policy.open_for);
    time.saturating_add(time.saturating_mul(policy.jitter_percent.into()) / 100)
}

fn open_time(policy: &OpenPolicy, steps: u32, rng: &mut Rng) -> Duration {
    let factor = policy.factor.max(1.0).powi(i32::try_from(steps).unwrap_or(i32::MAX));
    let max = policy.max_open_for.max(policy.open_for);
    let grown = Duration::try_from_secs_f64(policy.open_for.as_secs_f64() * factor).unwrap_or(max);
    let time = if steps == 0 { policy.open_for } else { grown.min(max) };
    let jitter = time.as_secs_f64() * f64::from(policy.jitter_percent) / 100.0 * rng.unit();
    time.saturating_add(Duration::try_from_secs_f64(jitter).unwrap_or_default())
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn policy() -> OpenPolicy {
        OpenPolicy {
            open_for: Duration::from_secs(1),
            factor: 3.0,
            max_open_for: Duration::from_secs(20),
            jitter_percent: 0,
            decay: Duration::from_secs(60),
        }
    }

    #[test]
    fn open_times_grow_to_the_bound_and_shrink_with_healthy_time() {
        let (policy, mut backoff, mut rng) = (policy(), Backoff::default(), Rng::new(1));
        let secs: Vec<u64> = (0..5).map(|_| backoff.grow(&policy, &mut rng).as_secs()).collect();
        assert_eq!(secs, [1, 3, 9, 20, 20]);
        assert_eq!(backoff.repeat(&policy, &mut rng).as_secs(), 20);
        backoff.decay(&policy, Duration::from_secs(179));
        assert_eq!(backoff.grow(&policy, &mut rng).as_secs(), 20, "three steps of five are left");
        backoff.decay(&policy, Duration::from_secs(180));
        assert_eq!(backoff.grow(&policy, &mut rng).as_secs(), 3);
    }

    #[test]
    fn jitter_only_adds_and_stays_in_its_bound() {
        let policy = OpenPolicy { jitter_percent: 50, ..policy() };
        let mut rng = Rng::new(3);
        let times: Vec<Duration> = (0..1_000).map(|_| open_time(&policy, 0, &mut rng)).collect();
        assert!(times.iter().all(|time| *time >= Duration::from_secs(1) && time.as_millis() < 1_500));
        assert!(
            times.iter().min().unwrap().as_millis() < 1_010
                && times.iter().max().unwrap().as_millis() > 1_490
        );
        assert!(times.iter().max() <= Some(&longest(&policy)));
        assert_eq!(longest(&policy), Duration::from_secs(30));
    }

    #[test]
    fn senseless_numbers_give_the_first_time() {
        for factor in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
            let policy =
                OpenPolicy { factor, max_open_for: Duration::ZERO, decay: Duration::ZERO, ..policy() };
            let (mut backoff, mut rng) = (Backoff::default(), Rng::new(1));
            for _ in 0..3 {
                assert_eq!(backoff.grow(&policy, &mut rng), Duration::from_secs(1));
            }
            backoff.decay(&policy, Duration::ZERO);
            assert_eq!(backoff.steps, 0, "without a decay time, at once");
        }
    }
}
