//! How the rate of calls changes over time: ramps, steps and bursts, one after the other. Pure arithmetic: which call is
//! due when, and to which phase it belongs. Who makes it is in `plan`.

use std::time::Duration;

use fuseboard_go as go;
use fuseboard_go::number::shortest;

/// Calls that a rounding error may add or take away from a phase.
const EPSILON: f64 = 1e-6;

/// Phases in their order; at least one call is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    phases: Vec<Placed>,
}

/// A phase and where it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Placed {
    phase: Phase,
    start: Duration,
    /// Calls of the phases before.
    before: u64,
}

/// A stretch of time with one shape of arrivals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Phase {
    shape: Shape,
    length: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// Calls per second, changing evenly from the first to the second.
    Line { from: f64, to: f64 },
    /// So many at once, again and again.
    Burst { size: u64, every: Duration },
}

impl Phase {
    pub(crate) fn line(from: f64, to: f64, length: Duration) -> Self {
        Self { shape: Shape::Line { from, to }, length }
    }

    /// `1:50:30s`: from 1 to 50 calls per second within 30 s.
    pub(crate) fn ramp(text: &str) -> Option<Self> {
        let [from, to, length] = parts(text)?;
        let (from, to, length) = (rate(from)?, rate(to)?, time(length)?);
        (from + to > 0.0).then(|| Self::line(from, to, length))
    }

    /// `10,20,50:5s`: each of these rates for 5 s.
    pub(crate) fn steps(text: &str) -> Option<Vec<Self>> {
        let (rates, length) = text.rsplit_once(':')?;
        let length = time(length)?;
        let step = |text: &str| {
            Some(rate(text)?).filter(|rate| *rate > 0.0).map(|rate| Self::line(rate, rate, length))
        };
        rates.split(',').map(step).collect()
    }

    /// `20:1s:10s`: 20 calls at once, each second, for 10 s.
    pub(crate) fn burst(text: &str) -> Option<Self> {
        let [size, every, length] = parts(text)?;
        let size = size.parse().ok().filter(|size| (1..=1_000_000).contains(size))?;
        Some(Self { shape: Shape::Burst { size, every: time(every)? }, length: time(length)? })
    }

    fn calls(self) -> u64 {
        let seconds = self.length.as_secs_f64();
        match self.shape {
            // Call 0 is due at once, so what is begun counts.
            Shape::Line { from, to } => whole((f64::midpoint(from, to) * seconds - EPSILON).ceil()),
            Shape::Burst { size, every } => {
                size.saturating_mul(whole((seconds / every.as_secs_f64() - EPSILON).ceil()))
            }
        }
    }

    /// When call `call` of the phase is due, from its start: where the area under the rate reaches `call`.
    fn due(self, call: u64) -> Duration {
        let seconds = match self.shape {
            Shape::Line { .. } if call == 0 => 0.0,
            Shape::Line { from, to } => {
                let slope = (to - from) / self.length.as_secs_f64();
                let call = call as f64;
                // The solution of call = from t + slope t²/2 that does not cancel, whatever the sign of the slope.
                2.0 * call / (from + (from * from + 2.0 * slope * call).max(0.0).sqrt())
            }
            Shape::Burst { size, every } => (call / size) as f64 * every.as_secs_f64(),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.length).min(self.length)
    }

    /// `10/s for 5s`, `1/s to 50/s in 30s`, `20 each 1s for 10s`.
    pub(crate) fn name(self) -> String {
        let length = go::duration::format(self.length);
        match self.shape {
            Shape::Line { from, to } if from.total_cmp(&to).is_eq() => {
                format!("{}/s for {length}", shortest(from))
            }
            Shape::Line { from, to } => format!("{}/s to {}/s in {length}", shortest(from), shortest(to)),
            Shape::Burst { size, every } => {
                format!("{size} each {} for {length}", go::duration::format(every))
            }
        }
    }

    pub(crate) const fn length(self) -> Duration {
        self.length
    }
}

impl Profile {
    /// As long as nobody waits for it.
    pub(crate) const ENDLESS: Duration = Duration::from_secs(100 * 365 * 86_400);

    /// `None` when there would be no call.
    pub(crate) fn of(phases: &[Phase]) -> Option<Self> {
        let (mut start, mut before) = (Duration::ZERO, 0_u64);
        let mut placed = Vec::new();
        for &phase in phases {
            placed.push(Placed { phase, start, before });
            start = start.saturating_add(phase.length);
            before = before.saturating_add(phase.calls());
        }
        (before > 0).then_some(Self { phases: placed })
    }

    pub(crate) fn phases(&self) -> impl ExactSizeIterator<Item = Phase> {
        self.phases.iter().map(|placed| placed.phase)
    }

    /// All of them.
    pub(crate) fn calls(&self) -> u64 {
        self.phases.last().map_or(0, |last| last.before.saturating_add(last.phase.calls()))
    }

    pub(crate) fn length(&self) -> Duration {
        self.phases.last().map_or(Duration::ZERO, |last| last.start.saturating_add(last.phase.length))
    }

    /// When call `call` is due, since the start; calls behind the last are due at the end.
    pub(crate) fn due(&self, call: u64) -> Duration {
        if call >= self.calls() {
            return self.length();
        }
        self.phases
            .get(self.phase_of(call))
            .map_or(Duration::ZERO, |Placed { phase, start, before }| *start + phase.due(call - before))
    }

    /// The phase in which call `call` is due.
    pub(crate) fn phase_of(&self, call: u64) -> usize {
        self.phases.partition_point(|placed| placed.before <= call).saturating_sub(1)
    }

    /// Calls of each phase that were due `elapsed` after the start.
    pub(crate) fn due_by(&self, elapsed: Duration) -> impl Iterator<Item = u64> {
        self.phases.iter().map(move |Placed { phase, start, .. }| {
            let within = elapsed.checked_sub(*start);
            within.map_or(0, |within| partition_point(phase.calls(), |call| phase.due(call) <= within))
        })
    }

    /// Calls per second over the whole time.
    pub(crate) fn mean_rate(&self) -> f64 {
        self.calls() as f64 / self.length().as_secs_f64()
    }
}

/// How many of the numbers below `end` fulfil `holds`, which holds up to some number and not behind it.
fn partition_point(end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// A count from arithmetic that cannot be negative; what is beyond `u64` is as good as endless.
fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, which is what is wanted"
    )]
    let whole = number as u64;
    whole
}

fn parts(text: &str) -> Option<[&str; 3]> {
    text.split(':').collect::<Vec<_>>().try_into().ok()
}

fn rate(text: &str) -> Option<f64> {
    text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0)
}

fn time(text: &str) -> Option<Duration> {
    go::duration::parse(text)?.positive()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn profile(phases: &[Phase]) -> Profile {
        Profile::of(phases).unwrap()
    }

    fn dues(profile: &Profile) -> Vec<Duration> {
        (0..profile.calls()).map(|call| profile.due(call)).collect()
    }

    #[test]
    fn steps_are_even_and_follow_each_other() {
        let steps = profile(&Phase::steps("2,4:1s").unwrap());
        let expected = [0.0, 0.5, 1.0, 1.25, 1.5, 1.75].map(seconds);
        assert_eq!(dues(&steps), expected);
        assert_eq!((0..6).map(|call| steps.phase_of(call)).collect::<Vec<_>>(), [0, 0, 1, 1, 1, 1]);
        assert_eq!((steps.length(), steps.phases().len()), (seconds(2.0), 2));
    }

    #[test]
    fn a_ramp_is_due_where_the_area_under_it_is_whole() {
        // t²/2 · 2 calls after t seconds.
        let up = profile(&[Phase::ramp("0:6:3s").unwrap()]);
        assert_eq!(up.calls(), 9);
        assert_eq!([up.due(0), up.due(1), up.due(4)], [0.0, 1.0, 2.0].map(seconds));
        // The same backwards in time.
        let down = profile(&[Phase::ramp("6:0:3s").unwrap()]);
        assert_eq!([down.calls(), 9], [9, 9]);
        assert_eq!([down.due(5), down.due(8)], [1.0, 2.0].map(seconds));
        assert_eq!(profile(&[Phase::ramp("1:50:30s").unwrap()]).calls(), 765);
    }

    #[test]
    fn bursts_are_due_at_once() {
        let bursts = profile(&[Phase::burst("3:2s:5s").unwrap()]);
        assert_eq!(dues(&bursts), [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0].map(seconds));
    }

    #[test]
    fn more_calls_than_can_be_counted_are_endless() {
        let burst = Phase::burst("1000000:1ns:10h").unwrap();
        let bursts = profile(&[burst, burst]);
        assert_eq!(bursts.calls(), u64::MAX);
        assert_eq!(bursts.due(3_000_000), Duration::from_nanos(3));
    }

    #[test]
    fn what_is_no_phase_is_refused() {
        for text in ["", "1:2", "1:2:3", "1:2:-3s", "-1:2:3s", "x:2:3s", "0:0:1s", "1:inf:1s", "1:2:3s:4s"] {
            assert_eq!(Phase::ramp(text), None, "{text}");
        }
        for text in ["", "5s", "10", "10:5", "10,:5s", "0:5s", "10,x:5s", ":5s"] {
            assert_eq!(Phase::steps(text), None, "{text}");
        }
        for text in ["0:1s:1s", "1.5:1s:1s", "3:0:1s", "3:1s"] {
            assert_eq!(Phase::burst(text), None, "{text}");
        }
        assert_eq!(Profile::of(&[]), None);
    }

    #[test]
    fn phases_have_names() {
        let names = ["1:50:30s", "5:5:1m0s"].map(|text| Phase::ramp(text).unwrap().name());
        assert_eq!(names, ["1/s to 50/s in 30s", "5/s for 1m0s"]);
        assert_eq!(Phase::burst("20:1s:10s").unwrap().name(), "20 each 1s for 10s");
    }

    #[test]
    fn how_many_were_due_is_known_at_any_time() {
        let steps = profile(&Phase::steps("2,4:1s").unwrap());
        let due_by = |elapsed: f64| steps.due_by(seconds(elapsed)).collect::<Vec<_>>();
        assert_eq!([due_by(0.0), due_by(0.6), due_by(1.0), due_by(9.0)], [[1, 0], [2, 0], [2, 1], [2, 4]]);
    }

    fn phase() -> impl Strategy<Value = Phase> {
        let line = (0.0..200.0_f64, 0.0..200.0_f64, 1_u64..5_000)
            .prop_map(|(from, to, ms)| Phase::line(from, to, Duration::from_millis(ms)));
        let burst = (1_u64..20, 1_u64..500, 1_u64..2_000).prop_map(|(size, every, ms)| Phase {
            shape: Shape::Burst { size, every: Duration::from_millis(every) },
            length: Duration::from_millis(ms),
        });
        prop_oneof![3 => line, 1 => burst]
    }

    proptest! {
        #[test]
        fn calls_never_go_back_in_time_and_are_due_within_their_phase(
            phases in prop::collection::vec(phase(), 1..4),
        ) {
            let Some(profile) = Profile::of(&phases) else { return Ok(()) };
            let mut last = Duration::ZERO;
            for call in 0..profile.calls() {
                let (due, placed) = (profile.due(call), profile.phases[profile.phase_of(call)]);
                prop_assert!(due >= last, "call {call}: {due:?} before {last:?}");
                prop_assert!(due >= placed.start && due <= placed.start + placed.phase.length);
                last = due;
            }
        }

        #[test]
        fn at_any_time_as_many_calls_were_due_as_the_area_under_the_rate_says(
            from in 0.0..200.0_f64, to in 0.0..200.0_f64, ms in 1_u64..5_000, at in 0.0..1.0_f64,
        ) {
            let length = Duration::from_millis(ms);
            let Some(ramp) = Profile::of(&[Phase::line(from, to, length)]) else { return Ok(()) };
            let t = at * length.as_secs_f64();
            let area = from * t + (to - from) / length.as_secs_f64() * t * t / 2.0;
            let due = dues(&ramp).iter().filter(|due| due.as_secs_f64() < t).count() as f64;
            // Call 0 is due at 0, so the number is the area rounded up, give or take the edge.
            prop_assert!(due >= area - 1e-3 && due <= area + 1.0 + 1e-3, "{due} {area}");
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "[0-9.,:smh-]{0,16}") {
            let _ = (Phase::ramp(&text), Phase::burst(&text));
            let _ = Phase::steps(&text).and_then(|steps| Profile::of(&steps)).map(|profile| profile.due(3));
        }
    }
}
