//! When each call of one connection is due. Pure arithmetic over the time since the start; the waiting is done
//! by the engine.

use std::time::Duration;

/// The schedule of one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Calls per second of this connection, above zero.
    pub(crate) rate: f64,
    /// How many calls it makes; `None` without end.
    pub(crate) calls: Option<u64>,
    /// When its first call is due.
    pub(crate) first: Duration,
    /// Skips what is late instead of catching up.
    pub(crate) skip_late: bool,
}

impl Pace {
    /// When slot `slot` (from 0) is due, since the start. With N calls the last one ends the run, so the N-1
    /// pauses share the time of N periods: 2 calls at 1 per second are due at 0 s and 2 s.
    pub(crate) fn due(&self, slot: u64) -> Duration {
        let slot = slot as f64;
        let stretched = match self.calls {
            Some(calls) if calls > 1 => slot + slot / (calls - 1) as f64,
            _ => slot,
        };
        self.first + Duration::try_from_secs_f64(stretched / self.rate).unwrap_or(Duration::MAX / 2)
    }

    /// The slot after `slot`, given the time since the start; `None` after the last.
    pub(crate) fn next(&self, slot: u64, elapsed: Duration) -> Option<u64> {
        let mut next = slot + 1;
        let within = |slot: u64| self.calls.is_none_or(|calls| slot < calls);
        if self.skip_late {
            while within(next) && self.due(next) < elapsed {
                next += 1;
            }
        }
        within(next).then_some(next)
    }
}

/// Moves a pause by up to a tenth of it, either way; `dice` is uniform in `[0, 1)`.
pub(crate) fn jittered(pause: Duration, dice: f64) -> Duration {
    pause.mul_f64(0.9 + 0.2 * dice)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pace(rate: f64, calls: Option<u64>, skip_late: bool) -> Pace {
        Pace { rate, calls, first: Duration::ZERO, skip_late }
    }

    #[test]
    fn the_pauses_share_the_whole_time() {
        let two = pace(1.0, Some(2), false);
        assert_eq!([two.due(0), two.due(1)], [ms(0), ms(2_000)]);
        let three = pace(3.0, Some(3), false);
        assert_eq!([three.due(1), three.due(2)], [ms(500), ms(1_000)]);
        let endless = pace(4.0, None, false);
        assert_eq!([endless.due(0), endless.due(1), endless.due(2)], [ms(0), ms(250), ms(500)]);
    }

    #[test]
    fn whoever_is_late_catches_up_unless_told_not_to() {
        let (catching_up, skipping) = (pace(10.0, None, false), pace(10.0, None, true));
        assert_eq!(catching_up.next(0, ms(350)), Some(1));
        assert_eq!(skipping.next(0, ms(350)), Some(4));
        assert_eq!(skipping.next(0, ms(50)), Some(1));
        assert_eq!(pace(10.0, Some(3), true).next(0, ms(5_000)), None);
        assert_eq!(pace(10.0, Some(3), false).next(2, ms(0)), None);
    }

    proptest! {
        #[test]
        fn slots_rise_evenly_and_the_last_is_due_at_calls_over_rate(
            rate in 0.01..10_000.0_f64,
            calls in 2_u64..500,
        ) {
            let pace = pace(rate, Some(calls), false);
            let step = pace.due(1).as_secs_f64();
            for slot in 1..calls {
                let pause = pace.due(slot).as_secs_f64() - pace.due(slot - 1).as_secs_f64();
                prop_assert!((pause - step).abs() < 1e-6, "{pause} {step}");
            }
            let last = pace.due(calls - 1).as_secs_f64();
            prop_assert!((last - calls as f64 / rate).abs() < 1e-6);
        }

        #[test]
        fn catching_up_makes_every_call(calls in 1_u64..200, late in 0_u64..10_000) {
            let pace = pace(100.0, Some(calls), false);
            let mut made = 1;
            let mut slot = 0;
            while let Some(next) = pace.next(slot, ms(late)) {
                slot = next;
                made += 1;
            }
            prop_assert_eq!(made, calls);
        }

        #[test]
        fn skipping_never_returns_a_slot_that_is_late(
            calls in 1_u64..200, slot in 0_u64..200, late in 0_u64..3_000,
        ) {
            let pace = pace(100.0, Some(calls), true);
            if let Some(next) = pace.next(slot, ms(late)) {
                prop_assert!(next > slot && next < calls && pace.due(next) >= ms(late));
                prop_assert!(next == slot + 1 || pace.due(next - 1) < ms(late));
            }
        }

        #[test]
        fn jitter_is_at_most_a_tenth(pause in 0_u64..100_000, dice in 0.0..1.0_f64) {
            let moved = jittered(ms(pause), dice).as_secs_f64() * 1e3;
            let pause = pause as f64;
            prop_assert!((pause * 0.9 - 1e-3..=pause * 1.1 + 1e-3).contains(&moved), "{moved}");
        }
    }
}
