//! The access log: a line for each call, in fortio's two forms. Each caller collects lines of its own and writes them
//! whole to a file that is opened for appending, so that callers need no lock and lines are never torn.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::client::Reply;
use crate::grpc::status;
use crate::options::{AccessLogFormat, AccessLogOptions};

/// Lines are written when so many bytes have come together, and whenever a caller has nothing else to do.
const FULL: usize = 32 * 1024;

/// The file of a run.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    file: Arc<File>,
    format: AccessLogFormat,
}

impl AccessLog {
    pub(crate) fn open(options: &AccessLogOptions) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(&options.path)?;
        Ok(Self { file: Arc::new(file), format: options.format })
    }
}

/// One call as the log tells it.
pub(crate) struct Entry {
    pub(crate) thread: usize,
    /// Number of the call in its thread, from 0; calls that were skipped count.
    pub(crate) iteration: u64,
    /// When it ended.
    pub(crate) ended: Timestamp,
    pub(crate) took: Duration,
    pub(crate) reply: Reply,
}

/// One caller's lines.
#[derive(Debug)]
pub(crate) struct Lines {
    log: AccessLog,
    text: String,
    failed: bool,
}

impl Lines {
    pub(crate) fn of(log: &AccessLog) -> Self {
        Self { log: log.clone(), text: String::new(), failed: false }
    }

    /// Adds a line. The first error in writing is returned; after it nothing more is written.
    pub(crate) fn add(&mut self, entry: &Entry) -> io::Result<()> {
        append(&mut self.text, self.log.format, entry);
        if self.text.len() < FULL { Ok(()) } else { self.flush() }
    }

    /// Writes what has come together.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        if self.failed || text.is_empty() {
            return Ok(());
        }
        let written = (&*self.log.file).write_all(text.as_bytes());
        self.failed = written.is_err();
        written
    }
}

fn append(text: &mut String, format: AccessLogFormat, entry: &Entry) {
    let Entry { thread, iteration, ended, took, reply } = entry;
    let (seconds, ok, code) = (took.as_secs_f64(), reply.is_ok(), status::shown(reply.code));
    let started = ended.as_nanosecond() - i128::try_from(took.as_nanos()).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = match format {
        AccessLogFormat::Json => writeln!(
            text,
            "{{\"latency\":{seconds:.6},\"timestamp\":{started},\"thread\":{thread},\"iter\":{iteration},\"ok\":{ok},\"details\":\"{code}\"}}"
        ),
        AccessLogFormat::Influx => {
            writeln!(text, "latency,thread={thread},ok={ok} value={seconds:.6},details=\"{code}\" {started}")
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: AccessLogFormat, code: i32) -> String {
        let mut text = String::new();
        let entry = Entry {
            thread: 1,
            iteration: 2,
            ended: "2026-11-24T17:40:00.5Z".parse().unwrap(),
            took: Duration::from_millis(500),
            reply: Reply { code, ..Reply::socket_error(0) },
        };
        append(&mut text, format, &entry);
        text
    }

    #[test]
    fn lines_are_those_of_fortio() {
        assert_eq!(
            line(AccessLogFormat::Json, 200),
            "{\"latency\":0.500000,\"timestamp\":1795542000000000000,\"thread\":1,\"iter\":2,\"ok\":true,\"details\":\"200\"}\n"
        );
        assert_eq!(
            line(AccessLogFormat::Influx, -1),
            "latency,thread=1,ok=false value=0.500000,details=\"-1\" 1795542000000000000\n"
        );
    }
}
