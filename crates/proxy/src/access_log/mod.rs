//! The access log: one line per exchange, put into words and written by a thread of its own, off the request path. What waits
//! is bounded in lines and in bytes; beyond that lines are dropped and counted. Requests never wait for a disk, nor does the
//! proxy's end for one that takes nothing.

mod json;
mod text;

use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use fuseboard_core::refusal::RefusalReason;

use crate::error::StartError;
use crate::log_writer::Writer;
use crate::options::{AccessLog, AccessLogFormat};

/// Lines that may wait for the writer.
const CAPACITY: usize = 8192;

/// Memory that they may take. Clients choose how long a line is: a head of 60 KiB makes one of 60 KiB.
const CAPACITY_BYTES: usize = 32 * 1024 * 1024;

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
    pub(crate) requested_server_name: Option<Box<str>>,
    pub(crate) route_name: Option<Arc<str>>,
    pub(crate) reason: Option<RefusalReason>,
    /// What the client was given in place of the failure.
    pub(crate) fallback: Option<Box<str>>,
}

impl Entry {
    /// The memory it takes while it waits.
    fn size(&self) -> usize {
        let texts = [&self.method, &self.path].into_iter();
        let fields = [
            &self.x_forwarded_for,
            &self.user_agent,
            &self.request_id,
            &self.authority,
            &self.requested_server_name,
            &self.fallback,
        ];
        let words = [&self.response_flags, &self.response_code_details].into_iter();
        size_of::<Self>()
            + texts.chain(fields.into_iter().flatten()).map(|text| text.len()).sum::<usize>()
            + words.chain(&self.transport_failure).map(String::capacity).sum::<usize>()
    }
}

/// What the two ends of the channel know of each other.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    /// No further line comes.
    ending: AtomicBool,
}

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct AccessLogHandle {
    /// `None` wakes the writer for its end.
    lines: SyncSender<Option<Entry>>,
    waiting: Arc<Waiting>,
    dropped: AtomicU64,
}

impl AccessLogHandle {
    /// Hands an entry over; never waits.
    pub(crate) fn log(&self, entry: Entry) {
        let size = entry.size();
        let before = self.waiting.bytes.fetch_add(size, Ordering::Relaxed);
        if before + size > CAPACITY_BYTES || self.lines.try_send(Some(entry)).is_err() {
            self.waiting.bytes.fetch_sub(size, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the writer, once it has written what waits.
    pub(crate) fn finish(&self) {
        self.waiting.ending.store(true, Ordering::Release);
        // Where there is no room the writer has lines to write, and sees the mark behind them.
        drop(self.lines.try_send(None));
    }

    /// Lines that were not written because the writer was too slow.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Opens the sink and starts the writer, which ends with [`AccessLogHandle::finish`].
pub(crate) fn start(log: &AccessLog) -> Result<(AccessLogHandle, Writer), StartError> {
    start_with(log.format, log.sink.open("access log")?)
}

fn start_with(
    format: AccessLogFormat,
    sink: impl Write + Send + 'static,
) -> Result<(AccessLogHandle, Writer), StartError> {
    let (lines, entries) = sync_channel(CAPACITY);
    let waiting = Arc::<Waiting>::default();
    let writers = Arc::clone(&waiting);
    let writer = Writer::start("access-log", move || {
        write(&entries, &writers, format, BufWriter::with_capacity(64 * 1024, sink));
    })?;
    Ok((AccessLogHandle { lines, waiting, dropped: AtomicU64::new(0) }, writer))
}

/// A sink that fails (a full disk) loses lines, not requests.
fn write(
    entries: &Receiver<Option<Entry>>,
    waiting: &Waiting,
    format: AccessLogFormat,
    mut sink: impl Write,
) {
    let mut line = String::new();
    loop {
        let next = if waiting.ending.load(Ordering::Acquire) {
            entries.try_recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            entries.recv_timeout(FLUSH)
        };
        match next {
            Ok(Some(entry)) => {
                line.clear();
                match format {
                    AccessLogFormat::Text => text::write(&entry, &mut line),
                    AccessLogFormat::Json => json::write(&entry, &mut line),
                }
                drop(sink.write_all(line.as_bytes()));
                waiting.bytes.fetch_sub(entry.size(), Ordering::Relaxed);
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
    use std::io;

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
            requested_server_name: None,
            route_name: Some("default".into()),
            reason: Some(RefusalReason::LimitQueueFull),
            fallback: None,
        }
    }

    #[test]
    fn the_timestamp_has_milliseconds() {
        assert_eq!(timestamp(overflow().start_time), "2025-11-22T16:35:35.119Z");
    }

    /// Takes nothing until it is let go; counts lines.
    struct Stuck {
        stuck: Receiver<()>,
        lines: Arc<AtomicUsize>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(self.stuck.recv().is_err(), "only its end lets go");
            self.lines.fetch_add(String::from_utf8_lossy(bytes).matches('\n').count(), Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stuck() -> (AccessLogHandle, Writer, SyncSender<()>, Arc<AtomicUsize>) {
        let (let_go, stuck) = sync_channel(0);
        let lines = Arc::<AtomicUsize>::default();
        let sink = Stuck { stuck, lines: Arc::clone(&lines) };
        let (handle, writer) = start_with(AccessLogFormat::Text, sink).unwrap();
        (handle, writer, let_go, lines)
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_the_rest_is_dropped_and_counted() {
        const LINES: usize = 2_000;
        let (handle, writer, let_go, written) = stuck();
        let long = Entry { path: "x".repeat(60 * 1024).into(), ..overflow() };
        for _ in 0..LINES {
            handle.log(long.clone());
        }
        let held = handle.waiting.bytes.load(Ordering::Relaxed);
        assert!(held <= CAPACITY_BYTES, "{held} bytes wait");
        let dropped = usize::try_from(handle.dropped()).unwrap();
        assert!(dropped > LINES - CAPACITY_BYTES / (60 * 1024) - 3, "{dropped} were dropped");
        drop(let_go);
        handle.finish();
        writer.join(Duration::from_secs(60));
        assert_eq!(written.load(Ordering::Relaxed) + dropped, LINES, "what waited is written");
        assert_eq!(handle.waiting.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_end_does_not_wait_for_a_sink_that_takes_nothing() {
        let (handle, writer, let_go, written) = stuck();
        // Until the queue is full.
        while handle.dropped() == 0 {
            handle.log(overflow());
        }
        handle.finish();
        writer.join(Duration::from_millis(20));
        assert_eq!(written.load(Ordering::Relaxed), 0);
        drop(let_go);
    }

    #[test]
    fn the_end_waits_for_a_full_queue_that_is_being_written() {
        let (handle, writer, let_go, written) = stuck();
        let mut lines = 0;
        while handle.dropped() == 0 {
            handle.log(overflow());
            lines += 1;
        }
        handle.finish();
        drop(let_go);
        writer.join(Duration::from_secs(60));
        assert_eq!(written.load(Ordering::Relaxed), lines - 1);
    }
}
