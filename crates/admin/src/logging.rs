//! `/logging`: the loggers, their levels, and Envoy's grammar of changing them. Which level lets what through is decided here; who writes
//! the log is the binary's business.

use std::fmt::Write as _;

use crate::page::Page;
use crate::query::Query;

/// How much a logger says, in Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Trace,
    /// What helps to find a cause.
    Debug,
    /// What changes.
    Info,
    /// What may be wrong.
    Warning,
    /// What is wrong.
    Error,
    /// What ends the process.
    Critical,
    /// Nothing.
    Off,
}

impl Level {
    /// From the most to the least talkative.
    pub const ALL: [Self; 7] =
        [Self::Trace, Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical, Self::Off];

    /// Envoy's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }

    fn parse(name: &str) -> Result<Self, LogError> {
        Self::ALL.into_iter().find(|level| level.name() == name).ok_or(LogError::UnknownLevel)
    }
}

impl std::str::FromStr for Level {
    type Err = LogError;

    fn from_str(name: &str) -> Result<Self, LogError> {
        Self::parse(name)
    }
}

/// The loggers, under Envoy's names. Each event of the proxy belongs to one of them.
pub mod logger {
    /// Who asked the admin server for what.
    pub const ADMIN: &str = "admin";
    /// Rules that come into force, and those that do not.
    pub const CONFIG: &str = "config";
    /// Listening and accepting.
    pub const CONN_HANDLER: &str = "conn_handler";
    /// Messages that cannot be understood.
    pub const HTTP: &str = "http";
    /// The life of the process.
    pub const MAIN: &str = "main";
    /// Connections to hosts.
    pub const POOL: &str = "pool";
    /// Answers of our own.
    pub const ROUTER: &str = "router";
    /// Hosts that are ejected and that return.
    pub const UPSTREAM: &str = "upstream";
}

const NAMES: [&str; 8] = [
    logger::ADMIN,
    logger::CONFIG,
    logger::CONN_HANDLER,
    logger::HTTP,
    logger::MAIN,
    logger::POOL,
    logger::ROUTER,
    logger::UPSTREAM,
];

/// The level of every logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loggers([Level; NAMES.len()]);

impl Default for Loggers {
    /// All at info.
    fn default() -> Self {
        Self::at(Level::Info)
    }
}

/// Why levels are not changed, in Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Not one of [`Level::ALL`].
    #[error("unknown logger level")]
    UnknownLevel,
    /// There is no such logger.
    #[error("unknown logger name")]
    UnknownName,
    /// A pair of `name:level` that is none.
    #[error("empty logger name or empty logger level")]
    NoPair,
    /// One change at a time.
    #[error("invalid number of parameters")]
    Parameters,
}

impl Loggers {
    /// All at `level`.
    pub const fn at(level: Level) -> Self {
        Self([level; NAMES.len()])
    }

    /// Names and levels, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Level)> {
        NAMES.into_iter().zip(self.0)
    }

    /// These with the pairs of `name:level,name:level` changed; all or none.
    pub fn with(&self, pairs: &str) -> Result<Self, LogError> {
        let mut changed = self.clone();
        for pair in pairs.split(',').filter(|pair| !pair.is_empty()) {
            let (name, level) = pair.split_once(':').ok_or(LogError::NoPair)?;
            if name.is_empty() || level.is_empty() {
                return Err(LogError::NoPair);
            }
            changed.set(name, Level::parse(level)?)?;
        }
        Ok(changed)
    }

    fn set(&mut self, name: &str, level: Level) -> Result<(), LogError> {
        let index = NAMES.iter().position(|known| *known == name).ok_or(LogError::UnknownName)?;
        self.0[index] = level;
        Ok(())
    }

    /// These after `level=…`, `paths=name:level,…` or `<name>=<level>`; unchanged without a value.
    fn after(&self, query: &Query) -> Result<Self, LogError> {
        let mut given = query.iter().filter(|(_, value)| !value.is_empty());
        let Some((name, value)) = given.next() else { return Ok(self.clone()) };
        if given.next().is_some() {
            return Err(LogError::Parameters);
        }
        match name {
            "level" => Ok(Self::at(Level::parse(value)?)),
            "paths" => self.with(value),
            name => {
                let mut changed = self.clone();
                changed.set(name, Level::parse(value)?)?;
                Ok(changed)
            }
        }
    }
}

/// What the log is made of, as the admin server sees it.
pub trait LogControl: std::fmt::Debug + Send + Sync {
    /// The levels now.
    fn loggers(&self) -> Loggers;

    /// Changes them, for the next event on.
    fn set(&self, loggers: &Loggers);
}

/// `/logging`: changes what `query` asks for, and shows the levels then. `None`: nobody writes a log.
pub fn page(log: Option<&dyn LogControl>, query: &Query) -> Page {
    let Some(log) = log else {
        return Page::text_with(503, "this process writes no log whose levels could be changed\n");
    };
    let before = log.loggers();
    match before.after(query) {
        Ok(after) => {
            if after != before {
                log.set(&after);
            }
            Page::text(listing(&after))
        }
        Err(problem) => Page::text_with(400, format!("error: {problem}\n\n{}{}", usage(), listing(&before))),
    }
}

fn listing(loggers: &Loggers) -> String {
    let mut out = "active loggers:\n".to_owned();
    for (name, level) in loggers.iter() {
        let _ = writeln!(out, "  {name}: {}", level.name());
    }
    out.push('\n');
    out
}

fn usage() -> String {
    format!(
        "usage: /logging?<name>=<level> (change single level)\n\
         usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n\
         usage: /logging?level=<level> (change all levels)\n\
         levels: {} \n",
        Level::ALL.map(Level::name).join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(query: &str) -> Result<Vec<(&'static str, Level)>, LogError> {
        let before = Loggers::default();
        let after = before.after(&Query::parse(query))?;
        Ok(after.iter().filter(|(_, level)| *level != Level::Info).collect())
    }

    #[test]
    fn levels_change_as_envoy_changes_them() {
        assert_eq!(after("level=debug").unwrap().len(), NAMES.len());
        assert_eq!(after("http=trace"), Ok(vec![("http", Level::Trace)]));
        let both = vec![("http", Level::Trace), ("upstream", Level::Error)];
        assert_eq!(after("paths=http:trace,upstream:error"), Ok(both));
        for nothing in ["", "level=", "paths=", "http", "level=&paths="] {
            assert_eq!(after(nothing), Ok(vec![]), "{nothing}");
        }
    }

    #[test]
    fn what_envoy_refuses_is_refused_in_its_words_and_changes_nothing() {
        for (query, problem) in [
            ("level=nosuch", "unknown logger level"),
            ("level=INFO", "unknown logger level"),
            ("level=warn", "unknown logger level"),
            ("nosuch=debug", "unknown logger name"),
            ("http=nosuch", "unknown logger level"),
            ("paths=http", "empty logger name or empty logger level"),
            ("paths=http:", "empty logger name or empty logger level"),
            ("paths=http:trace,nosuch:trace", "unknown logger name"),
            ("paths=http:trace,upstream:bad", "unknown logger level"),
            ("level=info&http=debug", "invalid number of parameters"),
        ] {
            assert_eq!(after(query).unwrap_err().to_string(), problem, "{query}");
        }
    }

    #[test]
    fn the_names_are_sorted() {
        assert!(NAMES.is_sorted());
    }
}
