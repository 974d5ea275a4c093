//! The result of a run: what was measured, and its two forms. `text` prints fortio's lines, `json` writes
//! fortio's document, `honest` is what we add to both.

mod honest;
mod json;
mod phases;
#[cfg(test)]
mod sample;
mod text;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use jiff::Timestamp;

use crate::connection::SocketCounts;
use crate::engine;
use crate::expect::{Expectation, Measured, Stats, Verdict};
use crate::grpc::status;
use crate::histogram::{Counter, Histogram};
use crate::options::{Options, Style};
use crate::plan::Plan;
use crate::tally::Tally;
use phases::PhaseResult;

/// Everything a run measured.
#[derive(Debug, Clone)]
pub struct Report {
    options: Options,
    /// Sockets that would do if none were lost.
    connections: usize,
    callers: usize,
    warmups: usize,
    started: Timestamp,
    elapsed: Duration,
    tally: Tally,
    /// Empty when there was one rate, or none.
    phases: Vec<PhaseResult>,
    sockets: Vec<SocketCounts>,
    verdicts: Vec<Verdict>,
}

impl Report {
    pub(crate) fn new(options: Options, plan: &Plan, measured: engine::Measured) -> Self {
        let tally = measured.tally();
        let engine::Measured { started, elapsed, phases, callers, sockets } = measured;
        let phases =
            plan.profile.as_ref().map_or(Vec::new(), |profile| phases::results(profile, elapsed, phases));
        let (connections, warmups) = (sockets.len(), plan.warmups);
        Self {
            options,
            connections,
            callers,
            warmups,
            started,
            elapsed,
            tally,
            phases,
            sockets,
            verdicts: Vec::new(),
        }
    }

    /// Judges what was expected, and returns whether all of it holds. `stats` are the proxy's counters before the first
    /// call and after the last, when it answered.
    pub fn judge(&mut self, expectations: &[Expectation], stats: Option<(&Stats, &Stats)>) -> bool {
        let (elapsed, sockets) = (self.elapsed, self.sockets_used());
        let measured = Measured { tally: &self.tally, elapsed, sockets, missed: self.missed(), stats };
        self.verdicts = expectations.iter().map(|one| one.judge(&measured)).collect();
        self.verdicts.iter().all(|verdict| verdict.holds)
    }

    /// Calls that were due and were not made: their connection was busy until the end, or `no_catch_up` skipped them.
    /// Only known of profiles and open arrivals.
    pub fn missed(&self) -> u64 {
        self.phases.iter().map(PhaseResult::missed).sum()
    }

    /// Calls that waited because as many as allowed were in flight.
    pub fn held(&self) -> u64 {
        self.tally.held
    }

    /// What [`Report::judge`] found, in the order of the expectations.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Calls by status, ascending; -1 is a socket error.
    pub fn codes(&self) -> &BTreeMap<i32, u64> {
        &self.tally.codes
    }

    /// Calls that returned `code`.
    pub fn count_of(&self, code: i32) -> u64 {
        self.tally.codes.get(&code).copied().unwrap_or(0)
    }

    /// All calls, warm-up not included.
    pub fn calls(&self) -> u64 {
        self.durations().count
    }

    /// Calls that were not 2xx or 418.
    pub fn errors(&self) -> u64 {
        self.tally.errors.counter().count
    }

    /// Calls that our proxy refused, by the reason in `x-fuseboard-refused`; reasons that occurred only.
    pub fn refused(&self) -> impl Iterator<Item = (RefusalReason, u64)> {
        self.tally.refused()
    }

    /// Calls whose answer said `x-envoy-overloaded: true`.
    pub fn overloaded(&self) -> u64 {
        self.tally.overloaded
    }

    /// Durations of all calls in seconds.
    pub fn durations(&self) -> &Counter {
        self.tally.durations.counter()
    }

    /// Exact duration below which `percentile` percent of the calls ended, from sending to the end of the answer.
    pub fn latency(&self, percentile: f64) -> Duration {
        Duration::from_secs_f64(self.tally.service.percentile(percentile))
    }

    /// As [`Report::latency`], from when each call was due, so that a call that waited for a slow one before it
    /// counts its wait. `None` when there was no rate to keep.
    pub fn latency_from_due(&self, percentile: f64) -> Option<Duration> {
        let from_due = &self.tally.from_due;
        (!from_due.is_empty()).then(|| Duration::from_secs_f64(from_due.percentile(percentile)))
    }

    /// From the start of the first call to the end of the last.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Calls per second.
    pub fn qps(&self) -> f64 {
        self.calls() as f64 / self.elapsed.as_secs_f64()
    }

    /// Sockets opened over all connections, warm-up included.
    pub fn sockets_used(&self) -> u64 {
        self.sockets.iter().map(|socket| socket.used).sum()
    }

    /// What was asked, the URL with its scheme.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Calls of gRPC by the name of what became of them; fortio has one name for all errors.
    fn statuses(&self) -> BTreeMap<String, u64> {
        let mut statuses = BTreeMap::new();
        for (code, count) in self.codes() {
            let as_fortio = self.options.style == Style::Fortio && status::is_error(*code);
            let name = if as_fortio { "ERROR".to_owned() } else { status::shown(*code) };
            *statuses.entry(name).or_default() += count;
        }
        statuses
    }

    fn addresses(&self) -> BTreeMap<SocketAddr, u64> {
        let mut all = BTreeMap::new();
        for (address, count) in self.sockets.iter().flat_map(|socket| &socket.addresses) {
            *all.entry(*address).or_default() += count;
        }
        all
    }

    fn connecting(&self) -> Histogram {
        let mut all = Histogram::new(self.options.offset.as_secs_f64(), self.options.resolution);
        self.sockets.iter().for_each(|socket| all.merge(&socket.connecting));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Level;

    #[test]
    fn a_report_answers_what_was_counted() {
        let report = sample::report(Style::Fortio, Level::Info);
        assert_eq!((report.calls(), report.errors(), report.sockets_used()), (6, 2, 3));
        assert_eq!([200, 503, -1, 404].map(|code| report.count_of(code)), [4, 1, 1, 0]);
    }

    #[test]
    fn a_late_call_is_slower_seen_from_when_it_was_due() {
        let report = sample::report(Style::Fortio, Level::Info);
        let close = |latency: Duration, ms: u64| {
            latency.abs_diff(Duration::from_millis(ms)) < Duration::from_micros(60)
        };
        assert!(close(report.latency(100.0), 30));
        assert!(close(report.latency_from_due(100.0).unwrap(), 50));
        assert!(close(report.latency(50.0), 5));
    }
}
