//! The access log: one line per exchange, put into words and written by a thread of its own, off the request path. A full
//! channel drops lines and counts them; requests never wait for a disk.

mod json;
mod text;

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use fuseboard_core::refusal::RefusalReason;

use crate::error::StartError;
use crate::options::{AccessLog, AccessLogFormat, AccessLogSink};

/// Lines that may wait for the writer.
const CAPACITY: usize = 8192;

/// A quiet log is flushed this often.
const FLUSH: Duration = Duration::from_millis(200);

/// What one line says; names are those of Envoy's command operators.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) start_time: SystemTime,
    pub(crate) method: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) protocol: &'static str,
    pub(crate) response_code: u16,
    pub(crate) response_flags: String,
    pub(crate) response_code_details: String,
    pub(crate) transport_failure: Option<String>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) duration: Duration,
    pub(crate) upstream_service_time: Option<Duration>,
    pub(crate) x_forwarded_for: Option<Box<str>>,
    pub(crate) user_agent: Option<Box<str>>,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) authority: Option<Box<str>>,
    pub(crate) upstream_host: Option<SocketAddr>,
    pub(crate) upstream_cluster: Option<Arc<str>>,
    pub(crate) upstream_local_address: Option<SocketAddr>,
    pub(crate) downstream_local_address: SocketAddr,
    pub(crate) downstream_remote_address: SocketAddr,
    pub(crate) route_name: Option<Arc<str>>,
    pub(crate) reason: Option<RefusalReason>,
}

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct AccessLogHandle {
    /// `None` is the last word.
    lines: SyncSender<Option<Entry>>,
    dropped: AtomicU64,
}

impl AccessLogHandle {
    /// Hands an entry over; never waits.
    pub(crate) fn log(&self, entry: Entry) {
        if self.lines.try_send(Some(entry)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the writer, once it has written what waits.
    pub(crate) fn finish(&self) {
        // A writer that is gone has nothing to end.
        drop(self.lines.send(None));
    }

    /// Lines that were not written because the writer was too slow.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Opens the sink and starts the writer, which ends with [`AccessLogHandle::finish`].
pub(crate) fn start(log: &AccessLog) -> Result<(AccessLogHandle, JoinHandle<()>), StartError> {
    let sink = open(&log.sink)?;
    let (lines, entries) = sync_channel(CAPACITY);
    let format = log.format;
    let thread = std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || write(&entries, format, BufWriter::with_capacity(64 * 1024, sink)))
        .map_err(|source| StartError::Thread { what: "access log".to_owned(), source })?;
    Ok((AccessLogHandle { lines, dropped: AtomicU64::new(0) }, thread))
}

fn open(sink: &AccessLogSink) -> Result<Box<dyn Write + Send>, StartError> {
    Ok(match sink {
        AccessLogSink::Stdout => Box::new(io::stdout()),
        AccessLogSink::Stderr => Box::new(io::stderr()),
        AccessLogSink::File(path) => Box::new(
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|source| StartError::AccessLog { path: path.clone(), source })?,
        ),
    })
}

/// A sink that fails (a full disk) loses lines, not requests.
fn write(entries: &Receiver<Option<Entry>>, format: AccessLogFormat, mut sink: impl Write) {
    let mut line = String::new();
    loop {
        match entries.recv_timeout(FLUSH) {
            Ok(Some(entry)) => {
                line.clear();
                match format {
                    AccessLogFormat::Text => text::write(&entry, &mut line),
                    AccessLogFormat::Json => json::write(&entry, &mut line),
                }
                drop(sink.write_all(line.as_bytes()));
            }
            Err(RecvTimeoutError::Timeout) => drop(sink.flush()),
            Ok(None) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(sink.flush());
}

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// `2026-11-22T16:35:35.119Z`
fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let date = fuseboard_http1::write::http_date(since.as_secs());
    // `Sun, 06 Nov 1994 08:49:37 GMT`
    let part = |range: std::ops::Range<usize>| String::from_utf8_lossy(&date[range]).into_owned();
    let month = MONTHS.find(&part(8..11)).map_or(0, |index| index / 3 + 1);
    format!("{}-{month:02}-{}T{}.{:03}Z", part(12..16), part(5..7), part(17..25), since.subsec_millis())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::access_log) fn overflow() -> Entry {
        Entry {
            start_time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_829_335_119),
            method: "GET".into(),
            path: "/get".into(),
            protocol: "HTTP/1.1",
            response_code: 503,
            response_flags: "UO".to_owned(),
            response_code_details: "upstream_reset_before_response_started{overflow}".to_owned(),
            transport_failure: None,
            bytes_received: 0,
            bytes_sent: 81,
            duration: Duration::ZERO,
            upstream_service_time: None,
            x_forwarded_for: None,
            user_agent: Some("fortio".into()),
            request_id: Some("4f9c".into()),
            authority: Some("httpbin:8000".into()),
            upstream_host: None,
            upstream_cluster: Some("outbound|8000||httpbin.default.svc.cluster.local".into()),
            upstream_local_address: None,
            downstream_local_address: "10.96.3.7:8000".parse().unwrap(),
            downstream_remote_address: "10.244.0.9:40000".parse().unwrap(),
            route_name: Some("default".into()),
            reason: Some(RefusalReason::LimitQueueFull),
        }
    }

    #[test]
    fn the_timestamp_has_milliseconds() {
        assert_eq!(timestamp(overflow().start_time), "2025-11-22T16:35:35.119Z");
    }
}
