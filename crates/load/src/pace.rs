//! When each call of one connection is due, and what becomes of calls that are late. Pure arithmetic over the time since
//! the start; the waiting is done by the caller.

use std::sync::Arc;
use std::time::Duration;

use crate::profile::Profile;

/// The schedule of one connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pace {
    pub(crate) timing: Timing,
    /// How many calls it makes; `None` without end.
    pub(crate) calls: Option<u64>,
    /// Skips what is late instead of catching up.
    pub(crate) skip_late: bool,
    /// When calls end even if not all were made.
    pub(crate) end: Option<Duration>,
}

/// Where the times come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Timing {
    /// fortio's: a rate of this connection, above zero, and when its first call is due.
    Even { rate: f64, first: Duration },
    /// Every `of`th call of a profile, beginning with call `id`.
    Share { profile: Arc<Profile>, id: u64, of: u64 },
}

impl Pace {
    /// The part of connection `id` of `of` in a profile.
    pub(crate) fn share(profile: &Arc<Profile>, id: u64, of: u64, skip_late: bool) -> Self {
        let (calls, end) = (profile.calls().saturating_sub(id).div_ceil(of), profile.length());
        let timing = Timing::Share { profile: Arc::clone(profile), id, of };
        Self { timing, calls: Some(calls), skip_late, end: Some(end) }
    }

    /// When slot `slot` (from 0) is due, since the start. At an even rate with N calls the last one ends the run, so the
    /// N-1 pauses share the time of N periods: 2 calls at 1 per second are due at 0 s and 2 s.
    pub(crate) fn due(&self, slot: u64) -> Duration {
        let (rate, first) = match &self.timing {
            Timing::Share { profile, id, of } => {
                return profile.due(slot.saturating_mul(*of).saturating_add(*id));
            }
            Timing::Even { rate, first } => (rate, first),
        };
        let slot = slot as f64;
        let stretched = match self.calls {
            Some(calls) if calls > 1 => slot + slot / (calls - 1) as f64,
            _ => slot,
        };
        *first + Duration::try_from_secs_f64(stretched / rate).unwrap_or(Duration::MAX / 2)
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

    fn phase_of(&self, slot: u64) -> usize {
        match &self.timing {
            Timing::Even { .. } => 0,
            Timing::Share { profile, id, of } => {
                profile.phase_of(slot.saturating_mul(*of).saturating_add(*id))
            }
        }
    }
}

/// One connection's way through its schedule.
#[derive(Debug)]
pub(crate) struct Walk {
    pace: Pace,
    slot: u64,
    due: Duration,
    /// The call was due before the one in front of it had ended.
    late: bool,
}

impl Walk {
    /// Before the first call; `None` when there is none.
    pub(crate) fn begin(pace: Pace) -> Option<Self> {
        let due = pace.due(0);
        (pace.calls != Some(0)).then_some(Self { pace, slot: 0, due, late: false })
    }

    /// When the next call is due.
    pub(crate) const fn due(&self) -> Duration {
        self.due
    }

    /// Calls before the next one, skipped ones included.
    pub(crate) const fn slot(&self) -> u64 {
        self.slot
    }

    /// The phase to which the next call belongs.
    pub(crate) fn phase(&self) -> usize {
        self.pace.phase_of(self.slot)
    }

    /// Whether the next call may still be made at `now`.
    pub(crate) fn goes_on(&self, now: Duration) -> bool {
        let in_time = self.pace.end.is_none_or(|end| now <= end);
        in_time
            || match self.pace.timing {
                // fortio: two calls in any case, and the last one although it is due when the time is up.
                Timing::Even { .. } => {
                    self.slot < 2 || self.pace.calls.is_some_and(|calls| self.slot + 1 == calls)
                }
                // Due within the time, and woken a little behind it.
                Timing::Share { .. } => !self.late,
            }
    }

    /// Moves on behind a call that ended at `elapsed`. Returns the pause before the next in seconds, negative when that
    /// is late; `None` when there is none. `jitter` moves a pause, but never a call that is late: it must not look
    /// as if it came due only now.
    pub(crate) fn advance(
        &mut self,
        elapsed: Duration,
        jitter: impl FnOnce(u64, Duration) -> Duration,
    ) -> Option<f64> {
        self.slot = self.pace.next(self.slot, elapsed)?;
        self.due = self.pace.due(self.slot);
        let pause = self.due.saturating_sub(elapsed);
        self.late = pause.is_zero();
        if !self.late {
            self.due = elapsed + jitter(self.slot, pause);
        }
        let late = elapsed.saturating_sub(self.due);
        Some(self.due.saturating_sub(elapsed).as_secs_f64() - late.as_secs_f64())
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
    use crate::profile::Phase;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pace(rate: f64, calls: Option<u64>, skip_late: bool) -> Pace {
        Pace { timing: Timing::Even { rate, first: Duration::ZERO }, calls, skip_late, end: None }
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

    /// A call of a run in virtual time, in seconds since the start.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Made {
        due: f64,
        sent: f64,
        ended: f64,
    }

    /// One connection that waits exactly as long as it should, against a server that takes `service(sent)`.
    fn walked(pace: Pace, service: impl Fn(usize, f64) -> f64) -> (Vec<Made>, Vec<f64>) {
        let (mut made, mut pauses) = (Vec::new(), Vec::new());
        let Some(mut walk) = Walk::begin(pace) else { return (made, pauses) };
        let mut now = walk.due();
        while walk.goes_on(now) {
            let sent = now;
            now += Duration::from_secs_f64(service(made.len(), sent.as_secs_f64()));
            let seconds = |time: Duration| time.as_secs_f64();
            made.push(Made { due: seconds(walk.due()), sent: seconds(sent), ended: seconds(now) });
            let Some(pause) = walk.advance(now, |_, pause| pause) else { break };
            pauses.push(pause);
            now = now.max(walk.due());
        }
        (made, pauses)
    }

    /// fortio's loop over one thread, written down once more with its own variables: `i` counts slots, the clock is in
    /// seconds, and everything happens at once except calls and pauses.
    fn as_fortio(
        qps: f64,
        calls: Option<u64>,
        duration: Option<f64>,
        delay: f64,
        no_catch_up: bool,
        service: &[f64],
    ) -> Vec<f64> {
        let (mut i, mut clock, mut sent) = (0_u64, delay, Vec::new());
        'run: loop {
            if duration.is_some_and(|end| clock > end) && i >= 2 && Some(i + 1) != calls {
                break;
            }
            sent.push(clock);
            clock += service[(sent.len() - 1) % service.len()];
            loop {
                i += 1;
                if calls.is_some_and(|calls| i >= calls) {
                    break 'run;
                }
                let target = match calls {
                    Some(calls) => (i as f64 + i as f64 / (calls - 1) as f64) / qps,
                    None => i as f64 / qps,
                };
                let sleep = target - (clock - delay);
                if no_catch_up && sleep < -1e-9 {
                    continue;
                }
                clock += sleep.max(0.0);
                break;
            }
            if sent.len() > 500 {
                break;
            }
        }
        sent
    }

    /// 100 calls per second on one connection; the server takes a millisecond, but stands still from 0.2 s to 0.5 s.
    fn through_a_stall(skip_late: bool) -> Vec<Made> {
        let ten_ms = Pace { end: Some(ms(1_000)), ..pace(100.0, None, skip_late) };
        let service = |_, sent: f64| if (0.2..0.5).contains(&sent) { 0.5 - sent + 0.001 } else { 0.001 };
        walked(ten_ms, service).0
    }

    #[test]
    fn a_stall_hides_in_service_time_and_shows_from_when_calls_were_due() {
        let made = through_a_stall(false);
        let stalled = made.iter().filter(|call| call.ended - call.sent > 0.01).count();
        assert_eq!(stalled, 1, "one connection meets the stall once");
        // Call k behind the stall was due k periods after 0.2 s and ends k service times after 0.501 s.
        let behind: Vec<_> = made.iter().filter(|call| call.due >= 0.2 - 1e-9).collect();
        for (k, call) in behind.iter().enumerate() {
            let expected = (0.301 - 0.009 * k as f64).max(0.001);
            assert!((call.ended - call.due - expected).abs() < 1e-6, "{k} {call:?}");
        }
        let late = made.iter().filter(|call| call.ended - call.due > 0.01).count();
        assert_eq!(late, 33, "0.301 s of 10 ms periods, caught up by 9 ms a call");
    }

    #[test]
    fn without_catching_up_what_was_missed_is_not_made() {
        let (all, some) = (through_a_stall(false), through_a_stall(true));
        assert_eq!(all.len() - some.len(), 30);
        assert!(some.windows(2).all(|two| two[1].sent >= two[0].ended));
    }

    #[test]
    fn a_share_of_a_profile_is_every_nth_call_and_none_is_lost() {
        let profile = Arc::new(Profile::of(&Phase::steps("10,20:1s").unwrap()).unwrap());
        let mut due: Vec<f64> = (0..4)
            .flat_map(|id| walked(Pace::share(&profile, id, 4, false), |_, _| 0.001).0)
            .map(|call| call.due)
            .collect();
        due.sort_by(f64::total_cmp);
        let all: Vec<f64> = (0..30).map(|call| profile.due(call).as_secs_f64()).collect();
        assert_eq!(due, all);
        assert_eq!(walked(Pace::share(&profile, 40, 50, false), |_, _| 0.0).0, []);
    }

    #[test]
    fn a_profile_ends_in_time_although_calls_are_missing() {
        let profile = Arc::new(Profile::of(&Phase::steps("10:1s").unwrap()).unwrap());
        let (made, _) = walked(Pace::share(&profile, 0, 1, false), |_, _| 0.4);
        assert_eq!(made.iter().map(|call| call.sent).collect::<Vec<_>>(), [0.0, 0.4, 0.8]);
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
        fn calls_are_sent_when_fortio_would_send_them(
            qps in 0.5..200.0_f64,
            calls in prop::option::of(2_u64..60),
            end_ms in prop::option::of(1_u64..3_000),
            delay_ms in 0_u64..50,
            skip_late in any::<bool>(),
            service_ms in prop::collection::vec(prop_oneof![4 => 0_u64..5, 1 => 0_u64..600], 1..12),
        ) {
            // fortio plans no number of calls only when there is no end either.
            prop_assume!(calls.is_some() || end_ms.is_none());
            let service: Vec<f64> = service_ms.iter().map(|ms| *ms as f64 / 1e3).collect();
            let timing = Timing::Even { rate: qps, first: ms(delay_ms) };
            // Between two milliseconds: calls that take whole ones never come back at the very end, where floats decide.
            let end = end_ms.map(|ms| Duration::from_micros(ms * 1_000 + 500));
            let pace = Pace { timing, calls: Some(calls.unwrap_or(300)), skip_late, end };
            let ours = match calls {
                Some(_) => pace,
                None => Pace { calls: None, end: Some(ms(2_000)), ..pace },
            };
            let endless = calls.is_none();
            let sent: Vec<f64> = walked(ours, |index, _| service[index % service.len()]).0.iter().map(|call| call.sent).collect();
            let end = end.map(|end| end.as_secs_f64());
            let theirs = as_fortio(qps, calls, end, delay_ms as f64 / 1e3, skip_late, &service);
            prop_assert!(endless || sent.len() == theirs.len(), "{} {}\n{sent:?}\n{theirs:?}", sent.len(), theirs.len());
            for (ours, theirs) in sent.iter().zip(&theirs) {
                prop_assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
            }
        }

        #[test]
        fn jitter_moves_pauses_and_never_a_call_that_is_late(late_ms in 0_u64..30) {
            let mut walk = Walk::begin(pace(100.0, None, false)).unwrap();
            let pause = walk.advance(ms(late_ms), |_, pause| pause * 2).unwrap();
            let due = if late_ms < 10 { late_ms + (10 - late_ms) * 2 } else { 10 };
            prop_assert_eq!(walk.due(), ms(due));
            prop_assert!((pause - (due as f64 - late_ms as f64) / 1e3).abs() < 1e-9);
        }

        #[test]
        fn jitter_is_at_most_a_tenth(pause in 0_u64..100_000, dice in 0.0..1.0_f64) {
            let moved = jittered(ms(pause), dice).as_secs_f64() * 1e3;
            let pause = pause as f64;
            prop_assert!((pause * 0.9 - 1e-3..=pause * 1.1 + 1e-3).contains(&moved), "{moved}");
        }
    }
}
