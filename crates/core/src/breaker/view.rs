//! A read-only picture of a breaker, for admin pages and gauges.

use super::{Cause, Mode, Override, State, Tally};
use crate::time::Instant;

/// A breaker at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerView {
    /// Whether its decisions are acted on; an override is, in every mode.
    pub mode: Mode,
    /// The state. Open with `open_until` in the past: the next call is a probe.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why, with what was measured.
    pub cause: Cause,
    /// The calls of the window, since the state began, as far as workers have handed them over at their last sweep.
    pub window: Tally,
    /// The present streak; 0 where the policy does not ask for it.
    pub consecutive_failures: u32,
    /// Probes in flight.
    pub probes_out: u32,
    /// Good probes since half-open began.
    pub good_probes: u32,
    /// Until when it is open.
    pub open_until: Option<Instant>,
    /// The share of traffic that is let through: 100 closed, a step of the ramp, else 0 (probes aside).
    pub traffic_percent: u8,
    /// How often it opened by itself.
    pub trips: u64,
    /// Calls that shadow mode let pass and enforce would have refused.
    pub would_have_refused: u64,
    /// The override in force.
    pub forced: Option<Override>,
}

impl BreakerView {
    /// Failed calls in the window, in percent; `None` of none.
    pub fn failure_percent(&self) -> Option<f64> {
        percent(self.window.failures, self.window.calls)
    }

    /// Slow calls in the window, in percent; `None` of none.
    pub fn slow_percent(&self) -> Option<f64> {
        percent(self.window.slow, self.window.calls)
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}
