//! Who makes how many calls: options become connections, calls each, and the line that says so.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Level, LogLine};
use crate::go;
use crate::go::number::shortest;
use crate::options::Options;
use crate::pace::{Pace, Timing};
use crate::profile::Profile;
use crate::progress::Progress;

/// The division of the work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// Callers that make calls; each has a connection of its own where no streams share one.
    pub(crate) connections: usize,
    /// Callers that share a connection.
    pub(crate) streams: usize,
    /// Calls of each connection; `None`: until the time is up or the run is cancelled.
    pub(crate) calls_each: Option<u64>,
    /// Calls that the first connection makes besides.
    pub(crate) extra: i64,
    /// When calls end even if not all were made.
    pub(crate) end: Option<Duration>,
    /// Warm-up calls before the clock starts, each on one connection.
    pub(crate) warmups: usize,
    /// Where this differs from what was asked.
    pub(crate) notices: Vec<LogLine>,
    /// The changing rate, or that of open arrivals.
    pub(crate) profile: Option<Arc<Profile>>,
    /// Calls start when they are due, on at most `connections`.
    pub(crate) open: bool,
    rate_each: Option<f64>,
    uniform: bool,
    skip_late: bool,
}

impl Plan {
    pub(crate) fn of(options: &Options) -> Self {
        // fortio's default stands in for what makes no sense.
        let lines = if options.connections == 0 { 4 } else { options.connections };
        let streams = options.streams.max(1);
        // Of open arrivals it is the calls in flight that are bounded, however many share a connection.
        let asked = if options.open { lines } else { lines.saturating_mul(streams) };
        let mut plan = Self {
            connections: asked,
            streams,
            calls_each: None,
            extra: 0,
            end: options.duration.filter(|_| options.calls.is_none()),
            warmups: if options.calls.is_some() { 0 } else { lines },
            notices: Vec::new(),
            profile: options.arrivals(),
            open: options.open,
            rate_each: None,
            uniform: options.uniform,
            skip_late: options.no_catch_up,
        };
        if plan.profile.is_some() {
            // Open arrivals are one generator, however many connections it needs.
            plan.warmups = plan.warmups.min(if plan.open { 1 } else { plan.warmups });
            return plan;
        }
        let of_rate =
            options.rate().zip(options.duration).map(|(rate, duration)| rate * duration.as_secs_f64());
        if let Some(calls) = options.calls {
            plan.divide(calls, options.rate().is_some());
            let each = plan.calls_each.unwrap_or(0);
            plan.extra = calls.cast_signed() - (each * plan.connections as u64).cast_signed();
        } else if let Some(calls) = of_rate {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates, and is not negative"
            )]
            let calls = calls as u64;
            plan.divide(calls, true);
        }
        plan.rate_each = options.rate().map(|rate| rate / plan.connections as f64);
        plan
    }

    /// With a rate each connection needs two calls to have a pause between; without, one. Below two calls fortio plans two
    /// on one connection all the same; of exactly one call, one is then taken away again.
    fn divide(&mut self, calls: u64, paced: bool) {
        if paced && calls < 2 {
            self.notices.push(LogLine::new(
                Level::Warning,
                "Increasing the number of calls to the minimum of 2 with 1 thread. total duration will increase",
            ));
            (self.connections, self.calls_each) = (1, Some(2));
            return;
        }
        let most = if paced { calls / 2 } else { calls }.max(1);
        if most < self.connections as u64 {
            let fewer = usize::try_from(most).unwrap_or(1);
            let (before, after) = (self.connections, fewer);
            self.notices.push(LogLine::new(
                Level::Warning,
                format!("Lowering number of threads - total call {calls} -> lowering from {before} to {after} threads"),
            ));
            self.connections = fewer;
        }
        self.calls_each = Some(calls / self.connections as u64);
    }

    /// Callers that there are, counting those that only warm up.
    pub(crate) fn callers(&self) -> usize {
        self.connections.max(self.warmups.saturating_mul(self.streams))
    }

    /// The connection that caller `id` uses.
    pub(crate) const fn line_of(&self, id: usize) -> usize {
        id / self.streams
    }

    /// Connections that these callers use.
    pub(crate) const fn lines(&self, callers: usize) -> usize {
        callers.div_ceil(self.streams)
    }

    /// Which of the warm-up calls caller `id` makes: the first of those who share a connection makes one.
    pub(crate) fn warmup_of(&self, id: usize) -> Option<usize> {
        Some(self.line_of(id)).filter(|line| id.is_multiple_of(self.streams) && *line < self.warmups)
    }

    /// How many calls connection `id` makes.
    pub(crate) fn calls_of(&self, id: usize) -> Option<u64> {
        self.calls_each.map(|calls| if id == 0 { calls.saturating_add_signed(self.extra) } else { calls })
    }

    /// How many stretches of time are told apart.
    pub(crate) fn phases(&self) -> usize {
        self.profile.as_ref().map_or(1, |profile| profile.phases().len())
    }

    pub(crate) fn progress(&self) -> Progress {
        if let Some(profile) = &self.profile {
            let ends = profile.length() < Profile::ENDLESS;
            return Progress::new(ends.then(|| profile.calls()), ends.then(|| profile.length()));
        }
        let calls =
            self.calls_each.map(|calls| (calls * self.connections as u64).saturating_add_signed(self.extra));
        Progress::new(calls, self.end)
    }

    /// The schedule of connection `id`; `None`: as fast as possible.
    pub(crate) fn pace_of(&self, id: usize) -> Option<Pace> {
        if let Some(profile) = &self.profile {
            return Some(Pace::share(profile, id as u64, self.connections as u64, self.skip_late));
        }
        let rate = self.rate_each?;
        let share = id as f64 / self.connections as f64;
        let first =
            if self.uniform { Duration::from_secs_f64((share / rate).min(1e9)) } else { Duration::ZERO };
        let timing = Timing::Even { rate, first };
        Some(Pace { timing, calls: self.calls_of(id), skip_late: self.skip_late, end: self.end })
    }

    /// `Starting at 8 qps with 4 thread(s) [gomax 2] for 5s : 10 calls each (total 40)`.
    pub(crate) fn starting_line(&self, options: &Options, cores: usize) -> String {
        if let Some(profile) = &self.profile {
            return self.starting_line_of(profile, cores);
        }
        let rate = options.rate().map_or("max".to_owned(), shortest);
        let mut line = format!("Starting at {rate} qps with {} thread(s) [gomax {cores}]", self.connections);
        let total = |each: u64| each * self.connections as u64;
        // Writing to a String cannot fail.
        let _ = match (options.calls, self.calls_each, self.end) {
            (Some(calls), Some(each), _) if options.rate().is_some() => {
                write!(line, " : exactly {calls}, {each} calls each (total {} + {})", total(each), self.extra)
            }
            (Some(calls), Some(each), _) => {
                write!(line, " for exactly {calls} calls ({each} per thread + {})", self.extra)
            }
            (_, Some(each), Some(end)) => {
                write!(line, " for {} : {each} calls each (total {})", go::duration::format(end), total(each))
            }
            (_, _, Some(end)) => write!(line, " for {}", go::duration::format(end)),
            _ => write!(line, " until interrupted"),
        };
        if let Some(access_log) = &options.access_log {
            let _ = write!(line, " with access logger {}", access_log.info());
        }
        line
    }
    /// `Starting 765 calls in 1 phase with 4 thread(s) [gomax 2] for 30s`.
    fn starting_line_of(&self, profile: &Profile, cores: usize) -> String {
        let (calls, phases, connections) = (profile.calls(), profile.phases().len(), self.connections);
        let s = if phases == 1 { "" } else { "s" };
        let callers = if self.open {
            format!("on at most {connections} connections")
        } else {
            format!("with {connections} thread(s) [gomax {cores}]")
        };
        let length = profile.length();
        if length >= Profile::ENDLESS {
            return format!("Starting at {} qps {callers} until interrupted", shortest(profile.mean_rate()));
        }
        format!("Starting {calls} calls in {phases} phase{s} {callers} for {}", go::duration::format(length))
    }
}

/// `Fortio 1.66.5 running at 8 queries per second, 2->2 procs, for 5s: http://host/`.
pub(crate) fn banner(options: &Options, cores: usize) -> String {
    let (name, version) = options.style.product();
    let length = match (options.calls, options.duration) {
        (Some(calls), _) => format!("for {calls} calls"),
        (None, Some(duration)) => format!("for {}", go::duration::format(duration)),
        (None, None) => "until interrupted".to_owned(),
    };
    let (qps, url) = (shortest(options.qps), &options.http.url);
    let threads = options.threads.unwrap_or(cores);
    format!("{name} {version} running at {qps} queries per second, {cores}->{threads} procs, {length}: {url}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::options::Style;

    fn options(connections: usize, qps: f64, calls: Option<u64>, duration: Option<u64>) -> Options {
        let mut options = Options::to("http://h/");
        options.connections = connections;
        options.qps = qps;
        options.calls = calls;
        options.duration = duration.map(Duration::from_millis);
        options.style = Style::Fortio;
        options
    }

    fn starting(connections: usize, qps: f64, calls: Option<u64>, duration: Option<u64>) -> String {
        let options = options(connections, qps, calls, duration);
        Plan::of(&options).starting_line(&options, 2)
    }

    #[test]
    fn the_starting_line_is_fortio_s() {
        for (line, text) in [
            (
                starting(2, 0.0, Some(20), Some(5_000)),
                "max qps with 2 thread(s) [gomax 2] for exactly 20 calls (10 per thread + 0)",
            ),
            (
                starting(2, 20.0, None, Some(1_000)),
                "20 qps with 2 thread(s) [gomax 2] for 1s : 10 calls each (total 20)",
            ),
            (
                starting(4, 100.0, Some(42), Some(5_000)),
                "100 qps with 4 thread(s) [gomax 2] : exactly 42, 10 calls each (total 40 + 2)",
            ),
            (
                starting(8, 10.0, Some(10), Some(5_000)),
                "10 qps with 5 thread(s) [gomax 2] : exactly 10, 2 calls each (total 10 + 0)",
            ),
            (
                starting(4, 1.0, None, Some(500)),
                "1 qps with 1 thread(s) [gomax 2] for 500ms : 2 calls each (total 2)",
            ),
            (
                starting(5, 8.0, Some(1), Some(5_000)),
                "8 qps with 1 thread(s) [gomax 2] : exactly 1, 2 calls each (total 2 + -1)",
            ),
            (starting(2, 50.0, None, None), "50 qps with 2 thread(s) [gomax 2] until interrupted"),
            (starting(2, -1.0, None, Some(10_000)), "max qps with 2 thread(s) [gomax 2] for 10s"),
            (starting(2, 0.0, None, None), "max qps with 2 thread(s) [gomax 2] until interrupted"),
        ] {
            assert_eq!(line, format!("Starting at {text}"));
        }
    }

    #[test]
    fn what_differs_from_what_was_asked_is_told_once_as_fortio_tells_it() {
        let told = |connections, calls, duration| {
            let notices = Plan::of(&options(connections, 8.0, calls, duration)).notices;
            notices.into_iter().map(|line| line.message).collect::<Vec<_>>()
        };
        let increasing =
            "Increasing the number of calls to the minimum of 2 with 1 thread. total duration will increase";
        assert_eq!(told(4, Some(1), Some(5_000)), [increasing]);
        assert_eq!(told(4, None, Some(100)), [increasing]);
        assert_eq!(
            told(4, Some(3), Some(5_000)),
            ["Lowering number of threads - total call 3 -> lowering from 4 to 1 threads"]
        );
        assert_eq!(told(4, Some(8), Some(5_000)), [""; 0]);
    }

    #[test]
    fn the_banner_is_fortio_s() {
        for (options, text) in [
            (
                options(1, 2.5, Some(4), None),
                "running at 2.5 queries per second, 2->2 procs, for 4 calls: http://h/",
            ),
            (
                options(1, 1e6, None, Some(500)),
                "running at 1e+06 queries per second, 2->2 procs, for 500ms: http://h/",
            ),
            (
                options(1, -1.0, None, None),
                "running at -1 queries per second, 2->2 procs, until interrupted: http://h/",
            ),
        ] {
            assert_eq!(banner(&options, 2), format!("Fortio 1.66.5 {text}"));
        }
    }

    proptest! {
        #[test]
        fn exactly_the_calls_asked_for_are_planned(
            connections in 0_usize..64, calls in 1_u64..500, qps in prop_oneof![Just(0.0), 0.1..1e4_f64],
        ) {
            let plan = Plan::of(&options(connections, qps, Some(calls), Some(5_000)));
            let planned: u64 = (0..plan.connections).map(|id| plan.calls_of(id).unwrap()).sum();
            prop_assert_eq!(planned, calls);
            prop_assert!((0..plan.connections).all(|id| plan.calls_of(id).unwrap() > 0));
            prop_assert_eq!(plan.warmups, 0);
        }

        #[test]
        fn a_rate_for_a_time_never_plans_more_calls_than_fit(
            connections in 1_usize..64, qps in 0.1..1e4_f64, ms in 1_u64..20_000,
        ) {
            let plan = Plan::of(&options(connections, qps, None, Some(ms)));
            let planned = plan.calls_each.unwrap() * plan.connections as u64;
            prop_assert!(planned as f64 <= (qps * ms as f64 / 1e3).max(2.0));
            prop_assert!(plan.calls_each.unwrap() >= 2);
            prop_assert_eq!(plan.warmups, connections);
        }
    }
}
