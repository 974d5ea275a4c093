//! Watches callers and breaker and tells what happens: a line for each second, with a letter for each of its calls, and a line
//! for each moment.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use fuseboard_admin::breakers::{Breakers, What};

use super::traffic::{Call, RATE, Source, Traffic};
use crate::asking;
use crate::cmd::demo::screen::{self, Letter};
use crate::cmd::demo::stage::{CLUSTER, Stage};
use crate::exit::Failure;

/// How often the admin server is asked.
const LOOK: Duration = Duration::from_millis(10);
/// Nothing in this walk takes longer.
const PATIENCE: Duration = Duration::from_secs(15);
/// A second is shown so long after its end: its last calls are answered by then.
const SETTLED: Duration = Duration::from_millis(40);

/// Who answers in place of the service, and what is told of that.
const ELSEWHERE: [(Source, &str, &str); 2] = [
    (Source::Cache, "CACHE", "the last good answer is given, for up to 2s"),
    (Source::StandIn, "STANDIN", "what is in the cache is too old: stand-in answers"),
];

/// What was seen so far.
pub(super) struct Watch<'a> {
    stage: &'a Stage,
    pub(super) traffic: Traffic,
    began: Instant,
    /// Seconds whose calls were shown.
    seconds: usize,
    pub(super) changes: Vec<Change>,
    traffic_percent: u8,
    /// Who else has answered since the breaker was last closed.
    fell_back: [bool; 2],
}

/// One change of the breaker.
pub(super) struct Change {
    to: String,
    cause: String,
}

impl Change {
    pub(super) fn ends_ramp(&self) -> bool {
        self.cause == "ramp_completed"
    }
}

impl<'a> Watch<'a> {
    pub(super) fn begin(stage: &'a Stage) -> Result<Self, Failure> {
        screen::legend(&Letter::ALL, RATE);
        Ok(Self {
            stage,
            traffic: Traffic::start(stage.proxy)?,
            began: Instant::now(),
            seconds: 0,
            changes: Vec::new(),
            traffic_percent: 100,
            fell_back: [false; 2],
        })
    }

    /// Since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Seconds whose calls were shown.
    pub(super) fn seconds(&self) -> usize {
        self.seconds
    }

    /// How often the breaker came into this state.
    pub(super) fn times(&self, state: &str) -> usize {
        self.changes.iter().filter(|change| change.to == state && !change.ends_ramp()).count()
    }

    pub(super) fn moment(&self, kind: &str, text: impl Display) {
        screen::moment(self.now(), kind, text);
    }

    /// Looks and tells until something is so.
    pub(super) fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let deadline = self.now() + PATIENCE;
        while !so(self) {
            self.stage.check_going()?;
            if self.now() > deadline {
                return Err(anyhow!("{what} did not come within {} s", PATIENCE.as_secs()).into());
            }
            thread::sleep(LOOK);
            // Looked at first: why others answered is in what the breaker says after that.
            let answering = self.answering();
            self.tell_breaker()?;
            self.tell_fallbacks(answering);
            self.tell_second();
        }
        Ok(())
    }

    fn tell_breaker(&mut self) -> Result<(), Failure> {
        let found: Breakers = asking::document(&self.stage.admin, "/fuseboard/v1/breakers")?;
        let cluster = found.clusters.into_iter().find(|one| one.cluster == CLUSTER);
        let cluster = cluster.context("the proxy does not know the service")?;
        let changes = cluster.history.into_iter().filter_map(|event| match event.what {
            What::Breaker { to, cause, open_for_ms, .. } => Some((to, cause, open_for_ms)),
            _ => None,
        });
        for (to, cause, open_for_ms) in changes.skip(self.changes.len()) {
            let words = cause.words;
            match (to.as_str(), cause.token.as_str()) {
                ("open", _) => {
                    let time = Duration::from_millis(open_for_ms.unwrap_or_default()).as_secs_f64();
                    let timed_out = self.stage.stat("upstream_rq_timeout")?;
                    self.moment("OPEN", format_args!("for {time:.0}s: {words}, {timed_out} timed out"));
                }
                ("half_open", _) => self.moment("PROBE", "the open time is over: a call is let through"),
                (_, "ramp_completed") => self.moment("CLOSED", "the ramp is over: all is as before"),
                _ => {
                    self.traffic_percent = 10;
                    self.moment("RAMP", format_args!("{words}: 10 % of the traffic"));
                }
            }
            self.changes.push(Change { to, cause: cause.token });
        }
        let percent = cluster.breaker.map_or(100, |breaker| breaker.traffic_percent);
        let ramps = self.changes.last().is_some_and(|change| change.to == "closed" && !change.ends_ramp());
        if ramps && percent > self.traffic_percent {
            self.traffic_percent = percent;
            self.moment("RAMP", format_args!("{percent} % of the traffic"));
        }
        Ok(())
    }

    /// Who else has answered lately.
    fn answering(&self) -> [bool; 2] {
        let made = self.traffic.made();
        let lately = self.traffic.calls(made.saturating_sub(RATE)..made);
        ELSEWHERE
            .map(|(source, ..)| lately.iter().any(|call| call.answer.is_some_and(|(by, _)| by == source)))
    }

    /// The first answers from elsewhere.
    fn tell_fallbacks(&mut self, answering: [bool; 2]) {
        for (index, (_, kind, text)) in ELSEWHERE.into_iter().enumerate() {
            if answering[index] && !std::mem::replace(&mut self.fell_back[index], true) {
                self.moment(kind, text);
            }
        }
    }

    fn tell_second(&mut self) {
        let end = Duration::from_secs(self.seconds as u64 + 1);
        if self.now() < end + SETTLED || self.traffic.made() <= (self.seconds + 1) * RATE {
            return;
        }
        let calls = self.traffic.calls(self.seconds * RATE..(self.seconds + 1) * RATE);
        screen::second(end, &calls.iter().map(letter).collect::<Vec<_>>());
        self.seconds += 1;
    }
}

fn letter(call: &Call) -> Letter {
    match call.answer {
        None => Letter::Waiting,
        Some((Source::Service, _)) => Letter::Service,
        Some((Source::Cache, _)) => Letter::Cache,
        Some((Source::StandIn, _)) => Letter::StandIn,
        Some((Source::Nobody, _)) => Letter::Error,
    }
}
