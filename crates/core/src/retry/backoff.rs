//! How long to wait before a retry: fully jittered exponential back-off, as Envoy computes it. Waiting is the adapter's.

use std::time::Duration;

use crate::rng::Rng;

/// The waits of one exchange.
#[derive(Clone, Debug)]
pub struct Backoff {
    current: Duration,
    max: Duration,
}

impl Backoff {
    /// The first wait is below `base`; each further bound is twice the one before, up to `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { current: base.min(max), max }
    }

    /// The next wait: anything from 0 up to, not including, the present bound.
    pub fn next_wait(&mut self, rng: &mut Rng) -> Duration {
        let wait = self.current.mul_f64(rng.unit());
        self.current = self.current.saturating_mul(2).min(self.max);
        wait
    }
}
