//! A breaker as one would write it down on paper: every call is remembered, everything is computed anew from that.

use std::time::Duration;

use fuseboard_core::breaker::{
    BreakerPolicy, Force, Mode, Override, RampPolicy, RefusedBy, State, Tally, Verdict, WindowPolicy,
};
use fuseboard_core::{Instant, Outcome};

/// What a transition looks like from outside.
pub(crate) type Change = (State, &'static str, Instant, Option<Instant>);

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Off,
    Closed,
    Ramp { began: Instant, asked: Vec<u8>, results: Vec<bool> },
    ForcedClosed(Override),
    Open { until: Instant, forced: Option<Override> },
    HalfOpen { probes: Vec<(usize, Instant)>, good: u32, waiting: Option<Instant> },
}

/// One call as the window has it.
#[derive(Clone, Debug)]
struct Seen {
    call: usize,
    at: Instant,
    failed: bool,
    slow: bool,
}

#[derive(Clone, Debug)]
struct Call {
    id: usize,
    worker: usize,
    began: Instant,
    /// The period in which it began; `None`: nobody asks.
    period: Option<usize>,
    watched: bool,
    overdue: bool,
    counted: bool,
}

pub(crate) struct Model {
    pub(crate) policy: BreakerPolicy,
    pub(crate) phase: Phase,
    period: usize,
    since: Instant,
    seen: Vec<Seen>,
    failures: Vec<Instant>,
    pub(crate) streak: u32,
    growth: u32,
    pub(crate) trips: u64,
    pub(crate) let_pass: u64,
    calls: Vec<Call>,
    next_call: usize,
    pub(crate) changes: Vec<Change>,
}

impl Model {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self {
            phase: rest(&policy),
            policy,
            period: 0,
            since: Instant::ZERO,
            seen: Vec::new(),
            failures: Vec::new(),
            streak: 0,
            growth: 0,
            trips: 0,
            let_pass: 0,
            calls: Vec::new(),
            next_call: 0,
            changes: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
            _ => State::Closed,
        }
    }

    fn enter(&mut self, phase: Phase, why: &'static str, at: Instant) {
        let until = if let Phase::Open { until, .. } = phase { Some(until) } else { None };
        self.phase = phase;
        if why != "ramp_completed" {
            self.period += 1;
            self.since = at;
            self.seen.clear();
            self.failures.clear();
            self.streak = 0;
        }
        self.changes.push((self.state(), why, at, until));
    }

    fn open_time(&self, growth: u32) -> Duration {
        let open = &self.policy.open;
        (0..growth)
            .fold(open.open_for, |time, _| time.mul_f64(open.factor).min(Duration::from_secs(100_000)))
            .min(open.max_open_for.max(open.open_for))
    }

    fn trip(&mut self, why: &'static str, now: Instant) {
        self.leave_closed(now);
        let until = now + self.open_time(self.growth);
        self.growth += 1;
        self.trips += 1;
        self.enter(Phase::Open { until, forced: None }, why, now);
    }

    fn leave_closed(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Closed | Phase::Ramp { .. }) {
            let healthy = now.saturating_since(self.since).as_nanos() / self.policy.open.decay.as_nanos();
            self.growth = self.growth.saturating_sub(u32::try_from(healthy).unwrap());
        }
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Ramp { began, .. } if now >= *began + self.policy.ramp.ramp_for => {
                let ends = *began + self.policy.ramp.ramp_for;
                self.enter(Phase::Closed, "ramp_completed", ends);
            }
            Phase::ForcedClosed(order) | Phase::Open { forced: Some(order), .. } if now >= order.until => {
                let until = order.until;
                self.lift(until);
            }
            Phase::HalfOpen { probes, waiting, .. } => {
                probes.retain(|(_, ends)| *ends > now);
                if let Some(ends) = waiting.map(|since| since + self.policy.half_open.patience)
                    && now >= ends
                {
                    let until = ends + self.open_time(self.growth.saturating_sub(1));
                    self.enter(Phase::Open { until, forced: None }, "probes_lost", ends);
                }
            }
            _ => {}
        }
    }

    /// The call's number, or why it is refused. In shadow mode a call that should be refused has a number too.
    pub(crate) fn admit(&mut self, worker: usize, now: Instant) -> Result<usize, RefusedBy> {
        self.advance(now);
        if let Phase::Open { until, .. } = self.phase
            && now >= until
        {
            self.enter(Phase::HalfOpen { probes: Vec::new(), good: 0, waiting: None }, "open_time_over", now);
        }
        let id = self.next_call;
        let forced = self.forced().is_some();
        let limit = self.policy.half_open.probes.get() as usize;
        let lease = now + self.policy.half_open.lease;
        let refused = match &mut self.phase {
            Phase::Open { .. } => Some(RefusedBy::Open),
            Phase::HalfOpen { probes, .. } if probes.len() >= limit => Some(RefusedBy::ProbeBusy),
            Phase::HalfOpen { probes, waiting, .. } => {
                probes.push((id, lease));
                waiting.get_or_insert(now);
                None
            }
            Phase::Ramp { began, asked, .. } => {
                let quarter =
                    now.saturating_since(*began).as_nanos() * 4 / self.policy.ramp.ramp_for.as_nanos();
                asked.push(RampPolicy::STEPS[usize::try_from(quarter).unwrap()]);
                // What was due before this call, and with it.
                let due =
                    |asked: &[u8]| asked.iter().map(|share| u32::from(*share)).sum::<u32>().div_ceil(100);
                (due(asked) == due(&asked[..asked.len() - 1])).then_some(RefusedBy::Ramp)
            }
            Phase::Off | Phase::Closed | Phase::ForcedClosed(_) => None,
        };
        if let Some(by) = refused
            && (self.policy.mode == Mode::Enforce || forced)
        {
            return Err(by);
        }
        self.let_pass += u64::from(refused.is_some());
        let asked = refused.is_none() && !matches!(self.phase, Phase::Off | Phase::ForcedClosed(_));
        self.calls.push(Call {
            id,
            worker,
            began: now,
            period: asked.then_some(self.period),
            watched: asked && self.policy.trip.slow.is_some(),
            overdue: false,
            counted: false,
        });
        self.next_call += 1;
        Ok(id)
    }

    pub(crate) fn abandon(&mut self, id: usize) {
        self.calls.retain(|call| call.id != id);
        if let Phase::HalfOpen { probes, .. } = &mut self.phase {
            probes.retain(|(probe, _)| *probe != id);
        }
    }

    pub(crate) fn record(&mut self, id: usize, outcome: Outcome, now: Instant) {
        self.advance(now);
        let index = self.calls.iter().position(|call| call.id == id).unwrap();
        let call = self.calls.remove(index);
        if call.period != Some(self.period) {
            return;
        }
        let took = now.saturating_since(call.began);
        let slow = !call.counted && self.policy.trip.slow.is_some_and(|slow| took > slow.slower_than);
        let verdict = self.policy.classifier.judge(outcome);
        if let Phase::HalfOpen { probes, good, waiting } = &mut self.phase {
            let before = probes.len();
            probes.retain(|(probe, _)| *probe != id);
            match verdict {
                _ if probes.len() == before => {}
                Verdict::Ignored => {}
                Verdict::Failure => self.trip("probe_failed", now),
                Verdict::Success if slow => self.trip("probe_slow", now),
                Verdict::Success => {
                    *good += 1;
                    *waiting = (!probes.is_empty()).then_some(now);
                    if *good >= self.policy.half_open.successes.get() {
                        let phase = if self.policy.ramp.ramp_for.is_zero() {
                            Phase::Closed
                        } else {
                            Phase::Ramp { began: now, asked: Vec::new(), results: Vec::new() }
                        };
                        self.enter(phase, "probes_succeeded", now);
                    }
                }
            }
            return;
        }
        if verdict == Verdict::Ignored {
            return;
        }
        let failed = verdict == Verdict::Failure;
        if let Phase::Ramp { results, .. } = &mut self.phase
            && !call.counted
        {
            results.push(failed || slow);
        }
        self.streak =
            if failed && self.policy.trip.consecutive_failures.is_some() { self.streak + 1 } else { 0 };
        if failed && let Some(policy) = self.policy.trip.failures {
            self.failures.push(now);
            // Numbers that ask for more find no more than the ones before asked for.
            self.failures.drain(..self.failures.len().saturating_sub(policy.count.get() as usize));
        }
        let window = self.window(now);
        match self.seen[window.clone()].iter().position(|seen| call.counted && seen.call == id) {
            // Nothing that was not known.
            _ if call.counted && !failed => return,
            Some(index) => self.seen[window.start + index].failed = true,
            None => self.seen.push(Seen { call: id, at: now, failed, slow }),
        }
        self.judge(now);
    }

    pub(crate) fn sweep(&mut self, worker: usize, now: Instant) {
        let Some(slow) = self.policy.trip.slow else { return };
        for index in 0..self.calls.len() {
            let call = &mut self.calls[index];
            let overdue = now.saturating_since(call.began) > slow.slower_than;
            if call.worker != worker || !call.watched || call.overdue || !overdue {
                continue;
            }
            call.overdue = true;
            let id = call.id;
            if call.period != Some(self.period) {
                continue;
            }
            match &mut self.phase {
                Phase::HalfOpen { probes, .. } => {
                    if probes.iter().any(|(probe, _)| *probe == id) {
                        self.trip("probe_slow", now);
                    }
                    continue;
                }
                Phase::Ramp { results, .. } => results.push(true),
                _ => {}
            }
            self.calls[index].counted = true;
            self.seen.push(Seen { call: id, at: now, failed: false, slow: true });
            self.judge(now);
        }
    }

    /// The part of what was seen that counts, from the last on.
    fn window(&self, now: Instant) -> std::ops::Range<usize> {
        let start = match self.policy.window {
            WindowPolicy::Calls(calls) => self.seen.len().saturating_sub(calls.get() as usize),
            WindowPolicy::Time { length, buckets } => {
                let bucket = u64::try_from(length.as_nanos()).unwrap() / u64::from(buckets.get());
                let current = now.as_nanos() / bucket;
                self.seen
                    .iter()
                    .position(|seen| seen.at.as_nanos() / bucket + u64::from(buckets.get()) > current)
                    .unwrap_or(self.seen.len())
            }
        };
        start..self.seen.len()
    }

    pub(crate) fn tally(&self, now: Instant) -> Tally {
        let count = |counts: fn(&Seen) -> bool| {
            self.seen[self.window(now)].iter().filter(|seen| counts(seen)).count() as u64
        };
        Tally { calls: count(|_| true), failures: count(|seen| seen.failed), slow: count(|seen| seen.slow) }
    }

    fn judge(&mut self, now: Instant) {
        let trip = self.policy.trip.clone();
        let tally = self.tally(now);
        let share =
            |part: u64, percent: u8| tally.calls > 0 && part * 100 >= tally.calls * u64::from(percent);
        let minimum = match self.policy.window {
            WindowPolicy::Calls(calls) => trip.minimum_calls.min(calls.get()),
            WindowPolicy::Time { .. } => trip.minimum_calls,
        };
        let enough = tally.calls >= u64::from(minimum);
        if let Phase::Ramp { results, .. } = &self.phase {
            let bad = results.iter().filter(|bad| **bad).count();
            let ramp = &self.policy.ramp;
            if results.len() >= ramp.minimum_calls as usize
                && !results.is_empty()
                && bad * 100 >= results.len() * usize::from(ramp.failure_percent.get())
            {
                return self.trip("ramp_failed", now);
            }
        }
        if trip.consecutive_failures.is_some_and(|count| self.streak >= count.get()) {
            self.trip("consecutive_failures", now);
        } else if trip.failures.is_some_and(|policy| {
            let count = policy.count.get() as usize;
            let last = self.failures.len().checked_sub(count).map(|first| &self.failures[first..]);
            last.is_some_and(|last| last[count - 1].saturating_since(last[0]) <= policy.within)
        }) {
            self.trip("failures", now);
        } else if enough && trip.failure_percent.is_some_and(|percent| share(tally.failures, percent.get())) {
            self.trip("failure_percent", now);
        } else if enough && trip.slow.is_some_and(|slow| share(tally.slow, slow.percent.get())) {
            self.trip("slow_percent", now);
        }
    }

    fn forced(&self) -> Option<&Override> {
        match &self.phase {
            Phase::ForcedClosed(order) | Phase::Open { forced: Some(order), .. } => Some(order),
            _ => None,
        }
    }

    pub(crate) fn force(&mut self, order: Override, now: Instant) {
        if order.until > now {
            self.leave_closed(now);
            let phase = match order.force {
                Force::Open => Phase::Open { until: order.until, forced: Some(order) },
                Force::Closed => Phase::ForcedClosed(order),
            };
            self.enter(phase, "forced", now);
        }
    }

    pub(crate) fn lift(&mut self, now: Instant) {
        let Some(order) = self.forced() else { return };
        let probes = order.force == Force::Open && self.policy.mode != Mode::Disabled;
        let phase = if probes {
            Phase::HalfOpen { probes: Vec::new(), good: 0, waiting: None }
        } else {
            rest(&self.policy)
        };
        self.enter(phase, "override_ended", now);
    }

    pub(crate) fn reset(&mut self, now: Instant) {
        self.growth = 0;
        self.enter(rest(&self.policy), "reset", now);
    }

    pub(crate) fn reconfigure(&mut self, policy: BreakerPolicy, now: Instant) {
        if policy.window != self.policy.window {
            self.seen.clear();
        }
        if policy.trip.consecutive_failures.is_none() {
            self.streak = 0;
        }
        if policy.trip.failures.is_none() {
            self.failures.clear();
        }
        if policy.mode == Mode::Disabled {
            self.growth = 0;
        }
        self.policy = policy;
        let longest = self.policy.open.max_open_for.max(self.policy.open.open_for);
        let disabled = self.policy.mode == Mode::Disabled;
        let since = self.since;
        match &mut self.phase {
            Phase::Off if !disabled => self.enter(Phase::Closed, "started", now),
            Phase::Off | Phase::ForcedClosed(_) | Phase::Open { forced: Some(_), .. } => {}
            _ if disabled => self.enter(Phase::Off, "disabled", now),
            Phase::Open { until, .. } => *until = (*until).min(since + longest),
            _ => {}
        }
    }
}

fn rest(policy: &BreakerPolicy) -> Phase {
    if policy.mode == Mode::Disabled { Phase::Off } else { Phase::Closed }
}
