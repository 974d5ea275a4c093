//! What `load` takes besides fortio's flags: the table, and what each flag sets. Under the name `fortio` there are
//! none of these.

use std::fmt;

use fuseboard_go::flag::Flag;

use crate::expect::{Expectation, ExpectationError};

const fn value(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value: Some(value), help, default: "" }
}

pub(crate) const FLAGS: &[Flag] = &[
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
    mistakes: Vec<ExpectationError>,
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
    pub(crate) fn set(&mut self, name: &'static str, value: &str) -> bool {
        match name {
            "admin" => self.admin = Some(value.to_owned()),
            "expect" => match Expectation::parse(value) {
                Ok(expectation) => self.expectations.push(expectation),
                Err(mistake) => self.mistakes.push(mistake),
            },
            "expect-file" => self.expectation_files.push(value.to_owned()),
            "junit" => self.junit = Some(value.to_owned()),
            _ => return false,
        }
        true
    }

    /// The mistakes of all expectations, when there are any.
    pub(crate) fn check(&mut self) -> Result<(), Mistakes> {
        let mistakes = std::mem::take(&mut self.mistakes);
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }
}
