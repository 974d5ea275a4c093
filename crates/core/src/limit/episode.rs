//! When a limit begins to refuse, and when it has stopped: two moments for however many refusals. Asked only where something is
//! refused, and by whoever looks whether it is over; nothing here decides who is refused.

use std::time::Duration;

use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::time::Instant;

/// The refusals of one limit, as episodes. Shared by all workers.
#[derive(Debug)]
pub struct Episodes {
    /// When the present one began; 0: there is none.
    began: AtomicU64,
    last: AtomicU64,
    count: AtomicU64,
}

/// How a limit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lull {
    /// It refuses nobody.
    None,
    /// It refuses; over at this time, if nobody else is refused until then.
    Due(Instant),
    /// It has just stopped.
    Over {
        /// The first refusal.
        began: Instant,
        /// The last one.
        last: Instant,
        /// How many, give or take those of the very end.
        count: u64,
    },
}

impl Default for Episodes {
    fn default() -> Self {
        Self { began: AtomicU64::new(0), last: AtomicU64::new(0), count: AtomicU64::new(0) }
    }
}

impl Episodes {
    /// Somebody was refused. True for the first of an episode.
    pub fn note(&self, now: Instant) -> bool {
        let now = now.as_nanos().max(1);
        self.last.fetch_max(now, AcqRel);
        self.count.fetch_add(1, Relaxed);
        self.began.load(Acquire) == 0 && self.began.compare_exchange(0, now, AcqRel, Acquire).is_ok()
    }

    /// Ends the episode if nobody was refused for `quiet`. One thread asks at a time.
    pub fn end_if_quiet(&self, quiet: Duration, now: Instant) -> Lull {
        let began = self.began.load(Acquire);
        if began == 0 {
            return Lull::None;
        }
        let last = Instant::from_nanos(self.last.load(Acquire));
        if now < last + quiet {
            return Lull::Due(last + quiet);
        }
        let count = self.count.swap(0, Relaxed);
        // Who is refused from here on begins the next one.
        self.began.store(0, Release);
        Lull::Over { began: Instant::from_nanos(began), last, count }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    const QUIET: Duration = Duration::from_secs(1);

    #[test]
    fn many_refusals_are_one_beginning_and_one_end() {
        let limit = Episodes::default();
        assert_eq!(limit.end_if_quiet(QUIET, at(0)), Lull::None);
        assert!(limit.note(at(0)), "time zero is a time too");
        assert!(!limit.note(at(400)) && !limit.note(at(300)));
        assert_eq!(limit.end_if_quiet(QUIET, at(1_399)), Lull::Due(at(1_400)));
        let over = Lull::Over { began: Instant::from_nanos(1), last: at(400), count: 3 };
        assert_eq!(limit.end_if_quiet(QUIET, at(1_400)), over);
        assert_eq!(limit.end_if_quiet(QUIET, at(1_400)), Lull::None);
        assert!(limit.note(at(1_500)));
    }

    /// Against a model that keeps every refusal: beginnings are those after a pause, counts add up, and there is never more than one
    /// beginning in each quiet time.
    #[test]
    fn random_refusals_begin_and_end_as_a_list_of_them_says() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (limit, mut refusals, mut now) = (Episodes::default(), Vec::new(), 1);
            for _ in 0..400 {
                now += u64::from(rng.below(700));
                if rng.below(2) == 0 {
                    assert_eq!(limit.note(at(now)), refusals.is_empty(), "seed {seed}");
                    refusals.push(now);
                    continue;
                }
                let expected = match (refusals.first(), refusals.last()) {
                    (Some(first), Some(last)) if now >= last + 1_000 => {
                        Lull::Over { began: at(*first), last: at(*last), count: refusals.len() as u64 }
                    }
                    (_, Some(last)) => Lull::Due(at(last + 1_000)),
                    _ => Lull::None,
                };
                assert_eq!(limit.end_if_quiet(QUIET, at(now)), expected, "seed {seed}");
                if matches!(expected, Lull::Over { .. }) {
                    refusals.clear();
                }
            }
        }
    }
}
