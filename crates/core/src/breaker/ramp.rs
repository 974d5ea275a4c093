//! Traffic comes back in steps after closing; which call is in the part that is let through, and what became of those.

use super::RampPolicy;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Ramp {
    began: Instant,
    /// Percent that the calls so far have saved up; a call costs 100.
    credit: u32,
    pub(super) calls: u64,
    pub(super) bad: u64,
}

impl Ramp {
    pub(super) fn new(now: Instant) -> Self {
        // Enough for the first call to pass.
        Self { began: now, credit: 99, calls: 0, bad: 0 }
    }

    /// Whether this call is let through: of n calls in a row at p percent, n * p / 100 rounded either way.
    pub(super) fn admit(&mut self, policy: &RampPolicy, now: Instant) -> bool {
        self.credit += u32::from(self.percent(policy, now));
        let admitted = self.credit >= 100;
        if admitted {
            self.credit -= 100;
        }
        admitted
    }

    /// The share of traffic that is let through.
    pub(super) fn percent(&self, policy: &RampPolicy, now: Instant) -> u8 {
        RampPolicy::STEPS.get(self.step(policy, now)).copied().unwrap_or(100)
    }

    fn step(&self, policy: &RampPolicy, now: Instant) -> usize {
        let quarters = now.saturating_since(self.began).as_nanos().saturating_mul(4);
        let step = quarters.checked_div(policy.ramp_for.as_nanos()).unwrap_or(u128::MAX);
        usize::try_from(step).unwrap_or(usize::MAX)
    }

    /// When the next step begins; the last one ends the ramp.
    pub(super) fn next_step(&self, policy: &RampPolicy, now: Instant) -> Instant {
        let step = u32::try_from(self.step(policy, now)).unwrap_or(u32::MAX).min(3);
        // Rounded up, so that the step has begun by then.
        self.began + (policy.ramp_for.saturating_mul(step + 1) + std::time::Duration::from_nanos(3)) / 4
    }

    pub(super) fn ends(&self, policy: &RampPolicy) -> Instant {
        self.began + policy.ramp_for
    }

    pub(super) fn count(&mut self, bad: bool) {
        self.calls += 1;
        self.bad += u64::from(bad);
    }

    /// Whether its calls are bad enough to open again.
    pub(super) fn has_failed(&self, policy: &RampPolicy) -> bool {
        self.calls >= u64::from(policy.minimum_calls)
            && policy.failure_percent.is_reached(self.bad, self.calls)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_quarter_lets_its_share_through_and_the_first_call_is_let_through() {
        let policy = RampPolicy { ramp_for: Duration::from_secs(4), ..RampPolicy::default() };
        let mut ramp = Ramp::new(Instant::ZERO);
        assert!(ramp.admit(&policy, Instant::ZERO));
        for (step, percent) in RampPolicy::STEPS.into_iter().enumerate() {
            let now = Instant::from_millis(1_000 * step as u64 + 999);
            let admitted = (0..1_000).filter(|_| ramp.admit(&policy, now)).count();
            assert!(admitted.abs_diff(usize::from(percent) * 10) <= 1, "{percent}: {admitted}");
            assert_eq!(ramp.next_step(&policy, now), Instant::from_millis(1_000 * (step as u64 + 1)));
        }
        assert_eq!(ramp.ends(&policy), Instant::from_millis(4_000));
    }
}
