//! What a run tells while it goes on: the two lines in front of the result, and log lines. Where they are
//! printed, and in which of the two forms, is the binary's choice.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::go::number::shortest;
use crate::progress::Progress;

/// Importance of a log line, in fortio's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Every step.
    Debug,
    /// More than usual.
    Verbose,
    /// Progress.
    #[default]
    Info,
    /// A call failed, or the run differs from what was asked.
    Warning,
    /// A connection failed.
    Error,
    /// Worse.
    Critical,
    /// The end.
    Fatal,
}

impl Level {
    const ALL: [(Self, &'static str, &'static str, &'static str); 7] = [
        (Self::Debug, "Debug", "dbug", "DBG"),
        (Self::Verbose, "Verbose", "trace", "VRB"),
        (Self::Info, "Info", "info", "INF"),
        (Self::Warning, "Warning", "warn", "WRN"),
        (Self::Error, "Error", "err", "ERR"),
        (Self::Critical, "Critical", "crit", "CRI"),
        (Self::Fatal, "Fatal", "fatal", "FAT"),
    ];

    /// The level of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, full, ..)| full.eq_ignore_ascii_case(name)).map(|(level, ..)| *level)
    }

    fn in_json(self) -> &'static str {
        Self::ALL.iter().find(|(level, ..)| *level == self).map_or("info", |(_, _, json, _)| json)
    }

    fn on_console(self) -> &'static str {
        Self::ALL.iter().find(|(level, ..)| *level == self).map_or("INF", |(.., console)| console)
    }
}

/// Something to show at once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A line of the result that comes before the calls; shown as it is.
    Line(String),
    /// A log line.
    Log(LogLine),
    /// The warm-up is over. The first call is made when this was received.
    WarmedUp(Arc<Progress>),
}

/// Receives events, on any thread of the run.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Event) + Send + Sync>);

impl Observer {
    /// Calls `receive` for each event. It must not block for long: the calls wait for it.
    pub fn new(receive: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }

    /// Drops all events.
    pub fn silent() -> Self {
        Self::new(drop)
    }

    /// Shows a warning of the caller's own.
    pub fn warn(&self, message: String) {
        self.log(LogLine::new(Level::Warning, message));
    }

    pub(crate) fn line(&self, line: String) {
        (self.0)(Event::Line(line));
    }

    pub(crate) fn warmed_up(&self, progress: &Arc<Progress>) {
        (self.0)(Event::WarmedUp(Arc::clone(progress)));
    }

    pub(crate) fn log(&self, line: LogLine) {
        (self.0)(Event::Log(line));
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

/// A value of a log line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A fraction.
    Float(f64),
    /// Text.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

/// One log line: a message and its values, in fortio's words.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// How important.
    pub level: Level,
    /// What happened.
    pub message: String,
    /// To which thread, with which code, and so on.
    pub values: Vec<(&'static str, Value)>,
}

impl LogLine {
    pub(crate) fn new(level: Level, message: impl Into<String>) -> Self {
        Self { level, message: message.into(), values: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// fortio's form in a pipe: one JSON object a line, without the source position that it adds. Without `now` there
    /// is no time in it.
    pub fn to_json(&self, now: Option<Timestamp>) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let time = now.map(|now| format!("\"ts\":{}.{:06},", now.as_second(), now.subsec_microsecond()));
        let (time, level) = (time.unwrap_or_default(), quoted(self.level.in_json()));
        let mut line = format!("{{{time}\"level\":{level},\"msg\":{}", quoted(&self.message));
        for (name, value) in &self.values {
            // Writing to a String cannot fail, and neither can these values be anything that JSON lacks.
            let value = serde_json::to_string(value).unwrap_or_default();
            let _ = write!(line, ",{}:{value}", quoted(name));
        }
        line.push('}');
        line
    }

    /// fortio's form on a terminal, without its colours: `23:51:10.123 [WRN] Non ok http code, code=503`.
    pub fn to_text(&self, now: Option<Timestamp>) -> String {
        let time = now.map(|now| now.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f ").to_string());
        let time = time.unwrap_or_default();
        let mut line = format!("{time}[{}] {}", self.level.on_console(), self.message);
        for (name, value) in &self.values {
            let _ = match value {
                Value::Int(number) => write!(line, ", {name}={number}"),
                Value::Float(number) => write!(line, ", {name}={}", shortest(*number)),
                Value::Text(text) => write!(line, ", {name}={text:?}"),
            };
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LogLine {
        LogLine::new(Level::Warning, "Non ok http code")
            .with("code", 503)
            .with("status", "HTTP/1.1 503")
            .with("thread", 1)
    }

    #[test]
    fn a_log_line_in_a_pipe_is_fortio_s_json() {
        let now: Timestamp = "2026-11-23T02:11:41.012562Z".parse().unwrap();
        assert_eq!(
            line().to_json(Some(now)),
            r#"{"ts":1795399901.012562,"level":"warn","msg":"Non ok http code","code":503,"status":"HTTP/1.1 503","thread":1}"#
        );
    }

    #[test]
    fn a_log_line_on_a_terminal_is_fortio_s_text() {
        assert_eq!(line().to_json(None).split_once(',').unwrap().0, r#"{"level":"warn""#);
        assert!(line().to_text(None).starts_with("[WRN] Non ok"));
        let text = line().to_text(Some(Timestamp::UNIX_EPOCH));
        assert_eq!(
            text.split_once(' ').unwrap().1,
            r#"[WRN] Non ok http code, code=503, status="HTTP/1.1 503", thread=1"#
        );
        assert_eq!(text.split(' ').next().unwrap().len(), "00:00:00.000".len());
    }
}
