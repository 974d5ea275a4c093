//! A random course of one breaker: our machine goes it while it is made, and it is written down for resilience4j.
//!
//! Where the two differ on purpose, the course goes another way:
//! - a call that ends in a later state than it began in says nothing here; over there it counts, even as a probe. It is not told there.
//! - a call in flight is slow here from the moment it passes the bound; over there it is told as a good slow call at that moment,
//!   and its end, which must not be a failure, is not told.
//! - the first bad probe opens again here; over there the share of bad ones decides. Only the last one may be bad, and only where one
//!   is too many.
//! - `probes` is how many are out at a time here; over there how many are let out in all. No more are asked for.
//! - open ends at its end here, and after it over there. Nothing happens in that very nanosecond.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, Cause, Force, Mode, Override, Recorder, State, Ticket, Transition,
};
use fuseboard_core::{Instant, Outcome, Rng};

use super::rules::{IGNORED, Kind, Rules};

/// Calls that are in flight at once, at most.
const MOST_CALLS: usize = 8;
/// Which share of the ends says nothing, one in so many.
const SAYS_NOTHING: u32 = 12;

/// A course and what ours made of it: a line for each line of the script.
#[derive(Default)]
pub(super) struct Course {
    pub(super) script: String,
    pub(super) ours: Vec<String>,
    pub(super) opened: u32,
    pub(super) closed: u32,
}

struct Walk<'r> {
    rules: Rules,
    breaker: &'r Arc<Breaker>,
    workers: &'r [Recorder],
    /// Chooses what happens.
    dice: Rng,
    /// The machine's own chance, of which these rules leave it none.
    chance: Rng,
    now: u64,
    calls: Vec<Call<'r>>,
    /// Grows whenever everything is forgotten.
    generation: u32,
    /// Probes that resilience4j has let out and not got back without a result.
    probes_let_out: u32,
    /// In percent, for this course.
    bad: u32,
    course: Course,
}

struct Call<'r> {
    ticket: Ticket<'r>,
    worker: usize,
    began: u64,
    generation: u32,
    /// It was counted as slow in flight.
    counted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Good,
    Bad,
    Ignored,
    Left,
}

/// The same for the same seed.
pub(super) fn random(kind: Kind, seed: u64, steps: usize) -> Course {
    let mut dice = Rng::new(seed);
    let rules = Rules::random(kind, &mut dice);
    let breaker = Breaker::new(rules.ours(), Instant::ZERO);
    let workers: Vec<Recorder> = (0..=dice.below(3)).map(|_| breaker.recorder()).collect();
    let bad = dice.below(101);
    let mut walk = Walk {
        rules,
        breaker: &breaker,
        workers: &workers,
        dice,
        chance: Rng::new(0),
        now: 0,
        calls: Vec::new(),
        generation: 0,
        probes_let_out: 0,
        bad,
        course: Course::default(),
    };
    walk.tell(&rules.theirs(), "new");
    for _ in 0..steps {
        walk.let_time_pass();
        walk.step(kind);
    }
    walk.course
}

impl Walk<'_> {
    fn step(&mut self, kind: Kind) {
        let by_hand = kind.by_hand && self.dice.below(20) == 0;
        match self.dice.below(10) {
            _ if by_hand => self.order(),
            0 => {
                self.sweep();
                self.tell(&format!("look {}", self.now), "look");
            }
            1..=5 if self.calls.len() < MOST_CALLS && self.may_call() => self.begin(),
            _ => self.end(),
        }
    }

    /// Nothing, a little, to the edge of an open time, or beyond most of what is waited for.
    fn let_time_pass(&mut self) {
        let view = self.breaker.view(self.at());
        let left = view.open_until.map(|until| until.as_nanos().saturating_sub(self.now));
        let mut passes = match (self.dice.below(20), left) {
            (0..=6, _) => 0,
            (7..=9, Some(left)) => left + 1,
            (10..=11, Some(left)) => left.saturating_sub(1),
            (19, _) => self.some(30_000_000_000),
            (15..=18, _) => self.some(2_000_000_000),
            _ => self.some(100_000_000),
        };
        if left == Some(passes) {
            passes += 1;
        }
        if let Some(bound) = self.rules.slower_than()
            && view.state == State::HalfOpen
            && !(self.is_last_probe() && self.rules.one_slow_probe_is_too_many())
        {
            let oldest = self.calls.iter().filter(|call| self.tells(call)).map(|call| call.began).min();
            passes =
                passes.min(oldest.map_or(passes, |began| (began + nanos(bound)).saturating_sub(self.now)));
        }
        self.now += passes;
    }

    fn begin(&mut self) {
        let worker = self.dice.below(u32::try_from(self.workers.len()).unwrap_or(1)) as usize;
        self.sweep();
        let (ticket, transitions) = self.workers[worker].admit(self.at(), &mut self.chance);
        self.note(&transitions);
        let what = if ticket.is_ok() { "let-through" } else { "refused" };
        if let Ok(ticket) = ticket {
            self.probes_let_out += u32::from(ticket.is_probe());
            let (began, generation) = (self.now, self.generation);
            self.calls.push(Call { ticket, worker, began, generation, counted: false });
        }
        self.tell(&format!("call {}", self.now), what);
    }

    fn end(&mut self) {
        let Some(last) = self.calls.len().checked_sub(1) else { return };
        let index = self.dice.below(u32::try_from(last + 1).unwrap_or(1)) as usize;
        // Of the calls that have become slow, this one may be noticed by its end only.
        let overdue = (0..=last).filter(|index| self.is_overdue(&self.calls[*index])).count();
        if overdue > 1 || !self.is_overdue(&self.calls[index]) || self.dice.below(2) == 0 {
            self.sweep();
        }
        let end = self.choose_end(index);
        let call = self.calls.remove(index);
        let told = self.tells(&call) && !call.counted;
        let took = self.now - call.began;
        let probe = told && call.ticket.is_probe();
        let (word, outcome) = match end {
            End::Good => ("good", Some(200)),
            End::Bad => ("bad", Some(503)),
            End::Ignored => ("ignored", Some(IGNORED)),
            End::Left => ("left", None),
        };
        self.probes_let_out -= u32::from(probe && outcome != Some(200) && outcome != Some(503));
        match outcome {
            Some(status) => {
                let outcome = Outcome::of_status(status);
                let transitions = call.ticket.record(outcome, self.at(), &mut self.chance);
                self.note(&transitions);
            }
            None => drop(call.ticket),
        }
        self.sweep();
        if told {
            self.tell(&format!("{word} {} {took}", self.now), word);
        } else {
            self.tell(&format!("look {}", self.now), "look");
        }
    }

    /// How a call ends, where both sides make the same of it.
    fn choose_end(&mut self, index: usize) -> End {
        let call = &self.calls[index];
        let last = self.is_last_probe() && self.rules.one_failed_probe_is_too_many();
        let must_be_good = self.tells(call) && (call.counted || call.ticket.is_probe() && !last);
        match self.dice.below(SAYS_NOTHING) {
            0 if self.dice.below(2) == 0 => End::Ignored,
            0 => End::Left,
            _ if self.dice.below(100) < self.bad && !must_be_good => End::Bad,
            _ => End::Good,
        }
    }

    /// An order by hand.
    fn order(&mut self) {
        let disabled = self.breaker.policy().mode == Mode::Disabled;
        let (line, word, transitions) = match self.dice.below(4) {
            _ if disabled => {
                let transitions = self.breaker.reconfigure(self.rules.ours(), self.at());
                (String::new(), "enable", transitions)
            }
            0 => {
                let transitions = self.breaker.reset("by hand", self.at());
                (String::new(), "reset", transitions)
            }
            1 if self.breaker.view(self.at()).forced.is_none() => {
                let policy = BreakerPolicy { mode: Mode::Disabled, ..self.rules.ours() };
                let transitions = self.breaker.reconfigure(policy, self.at());
                (String::new(), "disable", transitions)
            }
            _ => {
                let millis = 1 + self.some(5_000);
                let until = self.at() + Duration::from_millis(millis);
                let order = Override { force: Force::Open, until, reason: "by hand".into(), by: "".into() };
                (format!(" {millis}"), "open", self.breaker.force(order, self.at()))
            }
        };
        self.note(&transitions);
        self.tell(&format!("{word} {}{line}", self.now), word);
    }

    /// Counts the calls in flight that have become slow, and tells them to resilience4j as if they had ended then.
    fn sweep(&mut self) {
        for worker in 0..self.workers.len() {
            let mut overdue: Vec<usize> = (0..self.calls.len())
                .filter(|index| self.calls[*index].worker == worker && self.is_overdue(&self.calls[*index]))
                .collect();
            overdue.sort_by_key(|index| self.calls[*index].began);
            let generation = self.generation;
            let transitions = self.workers[worker].sweep(self.at(), &mut self.chance);
            self.note(&transitions);
            for index in overdue {
                let call = &mut self.calls[index];
                call.counted = true;
                if call.generation == generation {
                    let bound = self.rules.slower_than().unwrap_or_default();
                    let _ = writeln!(self.course.script, "good {} {}", self.now, nanos(bound) + 1);
                    // What it came to is compared after the last of them.
                    self.course.ours.push(String::new());
                }
            }
            if transitions.iter().any(|transition| matches!(transition.cause, Cause::OverrideEnded(_))) {
                // Its time ran out, and our machine noticed without a call.
                let _ = writeln!(self.course.script, "over {}", self.now);
                self.course.ours.push(String::new());
            }
        }
    }

    /// Whether the next sweep counts it as slow.
    fn is_overdue(&self, call: &Call<'_>) -> bool {
        let bound = self.rules.slower_than();
        !call.counted && bound.is_some_and(|bound| self.now - call.began > nanos(bound))
    }

    /// Whether both sides hear of its end.
    fn tells(&self, call: &Call<'_>) -> bool {
        call.generation == self.generation
    }

    fn is_last_probe(&self) -> bool {
        self.breaker.view(self.at()).good_probes + 1 == self.rules.successes()
    }

    /// Whether resilience4j would let out a probe where ours does.
    fn may_call(&self) -> bool {
        let view = self.breaker.view(self.at());
        view.state != State::HalfOpen
            || self.probes_let_out < self.rules.probes
            || view.probes_out == self.rules.probes
    }

    fn note(&mut self, transitions: &[Transition]) {
        for transition in transitions {
            self.generation += 1;
            self.probes_let_out = 0;
            self.course.opened += u32::from(transition.to == State::Open);
            self.course.closed += u32::from(matches!(transition.cause, Cause::ProbesSucceeded { .. }));
        }
    }

    fn tell(&mut self, line: &str, what: &str) {
        let view = self.breaker.view(self.at());
        let state = match view.state {
            State::Closed if view.mode == Mode::Disabled => "DISABLED".to_owned(),
            State::Closed => format!(
                "CLOSED {} calls, {} failed, {} slow",
                view.window.calls, view.window.failures, view.window.slow
            ),
            State::HalfOpen => format!("HALF_OPEN {} good", view.good_probes),
            State::Open => "OPEN".to_owned(),
        };
        let _ = writeln!(self.course.script, "{line}");
        self.course.ours.push(format!("{what} {state}"));
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// Below `bound`.
    fn some(&mut self, bound: u64) -> u64 {
        self.dice.next_u64() % bound
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
