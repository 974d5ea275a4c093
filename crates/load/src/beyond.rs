//! What `load` takes besides fortio's flags: the table, and what each flag sets. Under the name `fortio` there are
//! none of these.

use std::fmt;
use std::sync::Arc;

use fuseboard_go::flag::{Flag, FlagError, boolean};

use crate::expect::{Expectation, ExpectationError};
use crate::options::Options;
use crate::profile::{Phase, Profile};

const fn value(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value: Some(value), help, default: "" }
}

pub(crate) const FLAGS: &[Flag] = &[
    value("burst", "size:every:for", "So many calls at once, again and again, such as 20:1s:10s"),
    Flag {
        name: "open",
        value: None,
        help: "Start each call when it is due, whatever became of earlier ones; -c bounds the calls in flight (then 256)",
        default: "",
    },
    value(
        "ramp",
        "from:to:for",
        "Change the rate evenly, such as 1:50:30s; may be followed by -ramp, -steps, -burst",
    ),
    value("streams", "int", "Callers that share each connection, with a stream each (-h2, -grpc)"),
    value("steps", "rates:for", "Go through rates, each for the given time, such as 10,20,50:5s"),
    value(
        "admin",
        "HOST:PORT",
        "Admin address of the proxy that expectations ask (default as for fuseboard stats)",
    ),
    value("expect", "text", "What the run should show, such as 'p99 < 50ms'; may be given several times"),
    value("expect-file", "path", "File with one expectation a line; # begins a remark"),
    value("junit", "path", "Write the verdicts as JUnit XML to this file"),
];

/// What is asked for beyond fortio.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beyond {
    /// `-expect`, in order.
    pub expectations: Vec<Expectation>,
    /// `-expect-file`.
    pub expectation_files: Vec<String>,
    /// `-junit`.
    pub junit: Option<String>,
    /// `-admin`, not looked at here.
    pub admin: Option<String>,
    /// `-open`.
    open: bool,
    /// `-streams`.
    streams: Option<usize>,
    /// `-ramp`, `-steps` and `-burst`, in order.
    phases: Vec<Phase>,
    mistakes: Vec<ExpectationError>,
}

/// Calls in flight with `-open` unless `-c` says otherwise.
const MOST_IN_FLIGHT: usize = 256;

/// Flags that make no sense together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The phases say it already.
    #[error(
        "Error: -{0} has no place beside -ramp, -steps and -burst: each of them brings its rate and its time"
    )]
    BesidePhases(&'static str),
    /// Nothing is due at any time.
    #[error(
        "Error: -open starts calls when they are due and needs a rate: add -qps, -ramp, -steps or -burst"
    )]
    OpenWithoutRate,
    /// HTTP/1.1 has one call at a time on a connection.
    #[error("Error: -streams has calls share a connection, which HTTP/1.1 cannot: add -h2 or -grpc")]
    StreamsOfHttp1,
    /// There would be no verdict to write.
    #[error("Error: -junit writes verdicts, and nothing is expected: add -expect or -expect-file")]
    JunitOfNothing,
}

/// Every expectation that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<ExpectationError>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|mistake| format!("-expect: {mistake}")).collect();
        f.write_str(&all.join("\n"))
    }
}

impl Beyond {
    /// Takes a flag of the table; `false` for another one. Mistakes in expectations are collected, so that all are told.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) -> Result<bool, FlagError> {
        let phase = |phase: Option<Phase>, example: &str| {
            phase.ok_or_else(|| FlagError::Value {
                name,
                value: value.to_owned(),
                why: format!("should be like {example}"),
            })
        };
        match name {
            "admin" => self.admin = Some(value.to_owned()),
            "expect" => match Expectation::parse(value) {
                Ok(expectation) => self.expectations.push(expectation),
                Err(mistake) => self.mistakes.push(mistake),
            },
            "expect-file" => self.expectation_files.push(value.to_owned()),
            "junit" => self.junit = Some(value.to_owned()),
            "open" => self.open = boolean(name, value)?,
            "streams" => {
                let streams = value.parse().ok().filter(|streams| (1..=10_000).contains(streams));
                self.streams = Some(streams.ok_or_else(|| FlagError::Value {
                    name,
                    value: value.to_owned(),
                    why: "should be a number from 1 to 10000".to_owned(),
                })?);
            }
            "ramp" => self
                .phases
                .push(phase(Phase::ramp(value), "1:50:30s, from 1 to 50 calls per second in 30 s")?),
            "burst" => {
                self.phases.push(phase(Phase::burst(value), "20:1s:10s, 20 calls each second for 10 s")?);
            }
            "steps" => match Phase::steps(value) {
                Some(steps) => self.phases.extend(steps),
                None => drop(phase(None, "10,20,50:5s, each rate for 5 s")?),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Lets the arrivals of calls follow from `-open` and the phases; `given` says which other flags there were.
    pub(crate) fn arrange(&self, options: &mut Options, given: impl Fn(&str) -> bool) -> Result<(), Misfit> {
        if let Some(flag) = ["qps", "t", "n", "calc-qps"]
            .into_iter()
            .find(|flag| given(flag))
            .filter(|_| !self.phases.is_empty())
        {
            return Err(Misfit::BesidePhases(flag));
        }
        if self.junit.is_some() && self.expectations.is_empty() && self.expectation_files.is_empty() {
            return Err(Misfit::JunitOfNothing);
        }
        if let Some(profile) = Profile::of(&self.phases) {
            options.duration = Some(profile.length());
            options.qps = profile.mean_rate();
            options.profile = Some(Arc::new(profile));
        }
        options.open = self.open;
        if let Some(streams) = self.streams {
            if streams > 1 && !options.http.http2 && options.grpc.is_none() {
                return Err(Misfit::StreamsOfHttp1);
            }
            options.streams = streams;
        }
        if self.open {
            options.rate().ok_or(Misfit::OpenWithoutRate)?;
            if !given("c") {
                options.connections = MOST_IN_FLIGHT;
            }
        }
        Ok(())
    }

    /// The mistakes of all expectations, when there are any.
    pub(crate) fn check(&mut self) -> Result<(), Mistakes> {
        let mistakes = std::mem::take(&mut self.mistakes);
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }
}
