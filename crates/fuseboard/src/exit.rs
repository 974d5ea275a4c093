//! Exit codes, the same for every subcommand, and the error that carries one.

use std::fmt;
use std::process::ExitCode;

/// What the process says when it ends. `fuseboard help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// It failed.
    Error = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// An input file is wrong.
    BadInput = 65,
    /// Nothing answers at the address.
    NoConnection = 69,
    /// `analyze` found something at or above the threshold.
    Findings = 79,
    /// An expectation does not hold.
    ExpectationFailed = 99,
    /// Interrupted with Ctrl-C before the work was done.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with its exit code and what the user can do next.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
    /// A command or an edit that helps; shown on a line of its own.
    pub(crate) next: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), next: None }
    }

    /// A failure that is only a sentence.
    pub(crate) fn message(exit: Exit, message: impl fmt::Display) -> Self {
        Self::new(exit, anyhow::anyhow!("{message}"))
    }

    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Error, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Error, error)
    }
}

/// What a subcommand comes back with.
pub(crate) type Outcome = Result<Exit, Failure>;
