//! When the time of a TCP connection is up: idle, too old, or idle while the proxy ends. Whoever owns the connection says
//! when bytes went through it, asks at [`Life::deadline`], and closes it.

use std::time::Duration;

use super::Ending;
use crate::time::Instant;

/// While the proxy ends, a connection through which nothing went for this long is closed. Long enough for a query that takes
/// a moment, short enough that idle connections of pools do not use up the time to drain.
pub const DRAIN_IDLE: Duration = Duration::from_secs(5);

/// Bounds of a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Nothing goes either way for this long; `None`: no bound.
    pub idle: Option<Duration>,
    /// Age; `None`: no bound.
    pub age: Option<Duration>,
}

/// One connection's times.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    bounds: Lifetimes,
    began: Instant,
    moved: Instant,
    draining: bool,
}

impl Life {
    /// A connection that begins.
    pub const fn new(bounds: Lifetimes, now: Instant) -> Self {
        Self { bounds, began: now, moved: now, draining: false }
    }

    /// Bytes went through it.
    pub fn moved(&mut self, now: Instant) {
        self.moved = self.moved.max(now);
    }

    /// The proxy ends.
    pub const fn drain(&mut self) {
        self.draining = true;
    }

    /// When something may be due; `None`: never.
    pub fn deadline(&self) -> Option<Instant> {
        [self.idle_at(), self.aged_at(), self.drained_at()].into_iter().flatten().min()
    }

    /// What ends it now, if anything. Age goes before idleness, which goes before the end of the proxy.
    pub fn due(&self, now: Instant) -> Option<Ending> {
        let over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if over(self.aged_at()) {
            Some(Ending::Aged)
        } else if over(self.idle_at()) {
            Some(Ending::Idle)
        } else if over(self.drained_at()) {
            Some(Ending::Drained)
        } else {
            None
        }
    }

    fn idle_at(&self) -> Option<Instant> {
        self.bounds.idle.map(|idle| self.moved + idle)
    }

    fn aged_at(&self) -> Option<Instant> {
        self.bounds.age.map(|age| self.began + age)
    }

    fn drained_at(&self) -> Option<Instant> {
        self.draining.then(|| self.moved + DRAIN_IDLE)
    }
}
