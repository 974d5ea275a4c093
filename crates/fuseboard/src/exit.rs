//! Exit codes, the same for every subcommand, and the error that carries one.

use std::fmt;
use std::process::ExitCode;

/// What the process says when it ends. `fuseboard help exit-codes` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// It failed.
    Error = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The arguments make no sense, under the name `istioctl`.
    IstioctlUsage = 64,
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

impl Exit {
    /// Every one, by number.
    pub(crate) const ALL: [Self; 9] = [
        Self::Ok,
        Self::Error,
        Self::Usage,
        Self::IstioctlUsage,
        Self::BadInput,
        Self::NoConnection,
        Self::Findings,
        Self::ExpectationFailed,
        Self::Interrupted,
    ];

    /// In a few words.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Error => "failed",
            Self::Usage => "wrong arguments",
            Self::IstioctlUsage => "wrong arguments, under the name istioctl",
            Self::BadInput => "an input file is wrong or cannot be read",
            Self::NoConnection => "nobody answers",
            Self::Findings => "analyze found something at or above --failure-threshold",
            Self::ExpectationFailed => "an expectation does not hold",
            Self::Interrupted => "interrupted before the work was done",
        }
    }
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
