//! The log of a serving process: events of the proxy's loggers, one line each on stderr, at levels that change while it runs. Lines are
//! written by a thread of their own; where nobody takes them they are lost, and nothing waits.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use fuseboard_admin::logging::{Level, LogControl, Loggers};
use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Registry, fmt as lines, reload};

/// So many lines wait for a slow reader of stderr, more are lost. Their places are made at the start, 32 bytes each.
const LINES: usize = 8_192;

/// The log's levels, for the admin server.
pub(crate) struct Log {
    loggers: Mutex<Loggers>,
    filter: reload::Handle<Targets, Registry>,
}

/// Starts the log of this process. What is logged last is written when the guard goes.
pub(crate) fn start(loggers: Loggers) -> Result<(Log, WorkerGuard), TryInitError> {
    let (filter, handle) = reload::Layer::new(targets(&loggers));
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES).thread_name("log").finish(io::stderr());
    let lines = lines::layer().event_format(Line).with_writer(writer);
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok((Log { loggers: Mutex::new(loggers), filter: handle }, guard))
}

/// Our loggers at their levels; nothing of the libraries below us.
fn targets(loggers: &Loggers) -> Targets {
    Targets::new()
        .with_default(LevelFilter::OFF)
        .with_targets(loggers.iter().map(|(name, level)| (name, lowest(level))))
}

const fn lowest(level: Level) -> LevelFilter {
    match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warning => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
        // an event that ends the process is its last word on stderr, not a line of the log
        Level::Critical | Level::Off => LevelFilter::OFF,
    }
}

impl LogControl for Log {
    fn loggers(&self) -> Loggers {
        self.loggers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, loggers: &Loggers) {
        let mut current = self.loggers.lock().unwrap_or_else(PoisonError::into_inner);
        // it fails only when the log is gone, and with it everything that its levels could change
        if self.filter.reload(targets(loggers)).is_ok() {
            current.clone_from(loggers);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("loggers", &self.loggers()).finish_non_exhaustive()
    }
}

/// `2026-11-24T17:39:53.220Z info upstream: what happened`
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about: &Metadata<'_> = event.metadata();
        write!(writer, "{:.3} {} {}: ", Timestamp::now(), name(*about.level()), about.target())?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

const fn name(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::TRACE => Level::Trace.name(),
        tracing::Level::DEBUG => Level::Debug.name(),
        tracing::Level::INFO => Level::Info.name(),
        tracing::Level::WARN => Level::Warning.name(),
        tracing::Level::ERROR => Level::Error.name(),
    }
}
