//! Whether expectations hold. Pure over what was counted; a value that is not known never holds.

use std::time::Duration;

use fuseboard_go::duration;
use fuseboard_go::number::shortest;
use serde::Serialize;

use super::{Bound, Condition, Expectation, Measure, Operator, Since, StatQuery, Statistic, Stats, Which};
use crate::tally::Tally;

/// What became of one expectation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// As it was written.
    pub expectation: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was measured, in words.
    pub measured: String,
}

/// What expectations are held against.
pub(crate) struct Measured<'a> {
    pub(crate) tally: &'a Tally,
    pub(crate) elapsed: Duration,
    pub(crate) sockets: u64,
    /// Calls that were due and not made.
    pub(crate) missed: u64,
    /// The proxy's counters before the first call and after the last; `None`: it did not answer, or nothing of it was
    /// expected.
    pub(crate) stats: Option<(&'a Stats, &'a Stats)>,
}

/// A measured value; `Err` says why there is none.
type Value = Result<Number, String>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    /// How many, of how many calls.
    Calls(u64, u64),
    Count(u64),
    Seconds(f64),
    PerSecond(f64),
}

impl Expectation {
    pub(crate) fn judge(&self, measured: &Measured<'_>) -> Verdict {
        let value = measured.value(&self.measure);
        let (holds, measured) = match (&self.condition, value) {
            (_, Err(why)) => (false, why),
            (Condition::Compare(operator, bound), Ok(value)) => {
                (value.compare(*operator, *bound), value.to_string())
            }
            (Condition::Between(low, high), Ok(value)) => {
                let holds = value.compare(Operator::AtLeast, *low) && value.compare(Operator::AtMost, *high);
                (holds, value.to_string())
            }
            (Condition::Stat(operator, query), Ok(value)) => match (value.count(), measured.stat(query)) {
                (Some(callers), Ok(proxy)) => {
                    (operator.holds(&callers, &proxy), format!("{callers}, and the proxy counted {proxy}"))
                }
                (_, Err(why)) => (false, why),
                (None, _) => (false, value.to_string()),
            },
        };
        Verdict { expectation: self.text.clone(), holds, measured }
    }
}

impl Measured<'_> {
    fn value(&self, measure: &Measure) -> Value {
        let all = self.tally.durations.counter();
        Ok(match measure {
            Measure::Calls(Which::All) => Number::Count(all.count),
            Measure::Calls(which) => Number::Calls(self.calls(*which), all.count),
            Measure::Sockets => Number::Count(self.sockets),
            Measure::Missed => Number::Count(self.missed),
            Measure::Stat(query) => Number::Count(self.stat(query)?),
            Measure::Rate => Number::PerSecond(all.count as f64 / self.elapsed.as_secs_f64()),
            Measure::Latency(..) if all.count == 0 => return Err("there was no call".to_owned()),
            Measure::Latency(Statistic::Min, _) => Number::Seconds(all.min),
            Measure::Latency(Statistic::Average, _) => Number::Seconds(all.average()),
            Measure::Latency(Statistic::Max, _) => Number::Seconds(all.max),
            Measure::Latency(Statistic::Percentile(percentile), since) => {
                let latencies = match since {
                    Since::Sent => &self.tally.service,
                    Since::Due => &self.tally.from_due,
                };
                if latencies.is_empty() {
                    return Err("there was no rate to keep, so no call was due".to_owned());
                }
                Number::Seconds(latencies.percentile(*percentile))
            }
        })
    }

    fn calls(&self, which: Which) -> u64 {
        let tally = self.tally;
        match which {
            Which::All => tally.durations.counter().count,
            Which::Errors => tally.errors.counter().count,
            Which::Code(code) => tally.codes.get(&code).copied().unwrap_or(0),
            Which::Class(class) => {
                tally.codes.range(class * 100..(class + 1) * 100).map(|(_, count)| count).sum()
            }
            Which::Refused => tally.refused().map(|(_, count)| count).sum(),
            Which::RefusedFor(reason) => {
                tally.refused().find(|(known, _)| *known == reason).map_or(0, |(_, count)| count)
            }
            Which::Overloaded => tally.overloaded,
            Which::Held => tally.held,
        }
    }

    fn stat(&self, query: &StatQuery) -> Result<u64, String> {
        let (before, after) = self.stats.ok_or("the proxy did not answer")?;
        after
            .rise(before, query)
            .ok_or_else(|| format!("the proxy has no counter {query}, and only counters can be compared"))
    }
}

impl Number {
    fn count(self) -> Option<u64> {
        match self {
            Self::Calls(count, _) | Self::Count(count) => Some(count),
            Self::Seconds(_) | Self::PerSecond(_) => None,
        }
    }

    fn compare(self, operator: Operator, bound: Bound) -> bool {
        match (self, bound) {
            (Self::Calls(_, 0), Bound::Percent(_)) => false,
            // Multiplied rather than divided: 1 of 3 at 33.3% must not depend on how a quotient is rounded.
            (Self::Calls(count, of), Bound::Percent(percent)) => {
                operator.holds(&(count as f64 * 100.0), &(percent * of as f64))
            }
            (Self::Calls(count, _) | Self::Count(count), Bound::Count(bound)) => {
                operator.holds(&count, &bound)
            }
            (Self::Seconds(value), Bound::Seconds(bound))
            | (Self::PerSecond(value), Bound::PerSecond(bound)) => operator.holds(&value, &bound),
            // The parser gives each measure a bound of its own kind.
            _ => false,
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Calls(count, 0) => write!(f, "{count} of 0"),
            Self::Calls(count, of) => {
                write!(f, "{count} of {of} ({:.1} %)", 100.0 * count as f64 / of as f64)
            }
            Self::Count(count) => write!(f, "{count}"),
            Self::Seconds(seconds) => f.write_str(&duration::format(to_microseconds(seconds))),
            Self::PerSecond(rate) => f.write_str(&shortest((rate * 10.0).round() / 10.0)),
        }
    }
}

fn to_microseconds(seconds: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is not negative"
    )]
    Duration::from_micros((seconds * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fuseboard_core::refusal::RefusalReason;
    use proptest::prelude::*;

    use super::*;
    use crate::answer::Refusal;
    use crate::client::Reply;
    use crate::options::Options;

    /// 6 × 200 after 5 ms, 3 × 503 refused after 1 ms, 1 × -1 after 80 ms that was due 20 ms before it was sent.
    fn tally() -> Tally {
        let mut tally = Tally::new(&Options::to("http://h/"));
        let full = Refusal { reason: Some(RefusalReason::LimitQueueFull), overloaded: true };
        let mut call = |code, refusal, ms, late| {
            let reply = Reply { code, bytes: 1, head_bytes: 0, refusal };
            tally.record(reply, Duration::from_millis(ms), Some(Duration::from_millis(late)));
        };
        (0..6).for_each(|_| call(200, Refusal::default(), 5, 0));
        (0..3).for_each(|_| call(503, full, 1, 0));
        call(-1, Refusal::default(), 80, 20);
        tally
    }

    fn verdict_with(text: &str, stats: Option<(&Stats, &Stats)>) -> Verdict {
        let tally = tally();
        let measured =
            Measured { tally: &tally, elapsed: Duration::from_secs(2), sockets: 4, missed: 2, stats };
        Expectation::parse(text).unwrap().judge(&measured)
    }

    fn verdict(text: &str) -> (bool, String) {
        let Verdict { holds, measured, .. } = verdict_with(text, None);
        (holds, measured)
    }

    #[test]
    fn expectations_hold_or_not_and_say_what_was_measured() {
        for (text, holds, measured) in [
            ("calls == 10", true, "10"),
            ("calls != 10", false, "10"),
            ("errors == 4", true, "4 of 10 (40.0 %)"),
            ("errors < 40%", false, "4 of 10 (40.0 %)"),
            ("errors <= 40%", true, "4 of 10 (40.0 %)"),
            ("code 503 == 3", true, "3 of 10 (30.0 %)"),
            ("code 503 between 10% and 30%", true, "3 of 10 (30.0 %)"),
            ("code 503 between 31% and 90%", false, "3 of 10 (30.0 %)"),
            ("code 5xx > 3", false, "3 of 10 (30.0 %)"),
            ("code 2xx >= 60%", true, "6 of 10 (60.0 %)"),
            ("code -1 == 1", true, "1 of 10 (10.0 %)"),
            ("refused == 3", true, "3 of 10 (30.0 %)"),
            ("refused limit.queue_full == 3", true, "3 of 10 (30.0 %)"),
            ("refused no_healthy == 0", true, "0 of 10 (0.0 %)"),
            ("overloaded == 3", true, "3 of 10 (30.0 %)"),
            ("qps >= 5", true, "5"),
            ("qps > 5.1", false, "5"),
            ("sockets <= 4", true, "4"),
            ("missed == 2", true, "2"),
            ("held == 0%", true, "0 of 10 (0.0 %)"),
            ("p50 < 6ms", true, "5.001ms"),
            ("max == 80ms", true, "80ms"),
            ("min < 1ms", false, "1ms"),
            ("p100 < 99ms", true, "80ms"),
            ("p100 since due < 99ms", false, "100ms"),
            ("ejected == 1", false, "the proxy did not answer"),
        ] {
            let (does, said) = verdict(text);
            assert_eq!((does, said.as_str()), (holds, measured), "{text}");
        }
    }

    #[test]
    fn both_ends_are_compared() {
        let name = "cluster.a.fuseboard.refused.limit.queue_full";
        let (before, after) = (Stats::parse(&format!("{name}: 7\n")), Stats::parse(&format!("{name}: 10\n")));
        let verdict = verdict_with("refused limit.queue_full == stat", Some((&before, &after)));
        assert_eq!((verdict.holds, verdict.measured.as_str()), (true, "3, and the proxy counted 3"));
        let verdict =
            verdict_with("errors == stat fuseboard.refused.limit.queue_full", Some((&before, &after)));
        assert_eq!((verdict.holds, verdict.measured.as_str()), (false, "4, and the proxy counted 3"));
        let verdict = verdict_with("errors == stat upstream_rq_nosuch", Some((&before, &after)));
        assert_eq!(
            (verdict.holds, verdict.measured.as_str()),
            (false, "the proxy has no counter upstream_rq_nosuch, and only counters can be compared")
        );
    }

    #[test]
    fn nothing_holds_of_a_run_without_calls() {
        let tally = Tally::new(&Options::to("http://h/"));
        let measured =
            Measured { tally: &tally, elapsed: Duration::ZERO, sockets: 0, missed: 0, stats: None };
        for text in
            ["p99 < 1s", "max >= 0s", "errors <= 100%", "errors >= 0%", "qps >= 0", "p99 since due < 1s"]
        {
            let verdict = Expectation::parse(text).unwrap().judge(&measured);
            assert!(!verdict.holds, "{text}: {}", verdict.measured);
        }
        assert!(Expectation::parse("calls == 0").unwrap().judge(&measured).holds);
    }

    proptest! {
        #[test]
        fn of_an_operator_and_its_opposite_exactly_one_holds(bound in 0_u64..8, percent in 0_u32..=100) {
            for (sign, opposite) in [("==", "!="), ("<", ">="), ("<=", ">")] {
                for bound in [format!("{bound}"), format!("{percent}%")] {
                    let holds = |sign: &str| verdict(&format!("errors {sign} {bound}")).0;
                    prop_assert!(holds(sign) != holds(opposite), "{sign} {bound}");
                }
            }
        }

        #[test]
        fn between_is_at_least_and_at_most(low in 0_u64..8, more in 0_u64..8) {
            let high = low + more;
            let between = verdict(&format!("errors between {low} and {high}")).0;
            let both = verdict(&format!("errors >= {low}")).0 && verdict(&format!("errors <= {high}")).0;
            prop_assert_eq!(between, both);
        }
    }
}
