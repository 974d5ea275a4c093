//! Lines on their way to the sink. What waits is bounded in bytes; beyond that lines are dropped and counted. The writer is
//! woken by the first line, and takes all of them when that is a moment old, or when much waits.

use std::io::Write;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Entry;
use crate::error::StartError;
use crate::log_writer::Writer;
use crate::options::{AccessLog, AccessLogFormat};

/// Bytes that may wait, those included that the writer has and the sink has not taken. Clients choose how long a line is: a head of 60 KiB makes one of 60 KiB.
const CAPACITY: usize = 32 * 1024 * 1024;

/// So many bytes are written before they are old.
const MUCH: usize = 64 * 1024;

/// How old a line may become before it is written.
const FLUSH: Duration = Duration::from_millis(200);

/// Memory that is kept for the lines that come next.
const KEPT: usize = 2 * MUCH;

#[derive(Debug, Default)]
struct Waiting {
    lines: Mutex<Lines>,
    /// The writer waits for the first line, for many, or for the end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    /// Bytes that are being written.
    writing: usize,
    /// No further line comes.
    ending: bool,
}

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct AccessLogHandle {
    waiting: Arc<Waiting>,
    format: AccessLogFormat,
    dropped: AtomicU64,
}

impl AccessLogHandle {
    /// Hands an entry over; never waits for the sink. The line is made in `scratch`.
    pub(crate) fn log(&self, entry: &Entry<'_>, scratch: &mut String) {
        scratch.clear();
        entry.write(self.format, scratch);
        let taken = self.waiting.push(scratch.as_bytes());
        if !taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        scratch.shrink_to(KEPT);
    }

    /// Ends the writer, once it has written what waits.
    pub(crate) fn finish(&self) {
        self.waiting.lines().ending = true;
        self.waiting.changed.notify_one();
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
    let waiting = Arc::<Waiting>::default();
    let writers = Arc::clone(&waiting);
    let writer = Writer::start("access-log", move || write(&writers, sink))?;
    Ok((AccessLogHandle { waiting, format, dropped: AtomicU64::new(0) }, writer))
}

impl Waiting {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False: too much waits already.
    fn push(&self, line: &[u8]) -> bool {
        let mut lines = self.lines();
        let before = lines.text.len();
        let after = before + line.len();
        if lines.writing + after > CAPACITY {
            return false;
        }
        lines.text.extend_from_slice(line);
        drop(lines);
        if before == 0 || (before < MUCH && after >= MUCH) {
            self.changed.notify_one();
        }
        true
    }

    /// Waits for lines and puts them into `text`, which is empty: what was taken before is written. False: these were the last
    /// ones.
    fn take(&self, text: &mut Vec<u8>) -> bool {
        let mut lines = self.lines();
        lines.writing = 0;
        let wait = self.changed.wait_while(lines, |lines| lines.text.is_empty() && !lines.ending);
        let lines = wait.unwrap_or_else(PoisonError::into_inner);
        let wait =
            self.changed.wait_timeout_while(lines, FLUSH, |lines| lines.text.len() < MUCH && !lines.ending);
        let (mut lines, _) = wait.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut lines.text, text);
        lines.writing = text.len();
        !lines.ending
    }
}

/// A sink that fails (a full disk) loses lines, not requests.
fn write(waiting: &Waiting, mut sink: impl Write) {
    let mut text = Vec::new();
    let mut goes_on = true;
    while goes_on {
        goes_on = waiting.take(&mut text);
        drop(sink.write_all(&text).and_then(|()| sink.flush()));
        text.clear();
        text.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Instant;

    use super::super::tests::overflow;
    use super::*;

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

    /// Tells what it was given.
    struct Told(SyncSender<String>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8_lossy(bytes).into_owned()).unwrap();
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

    /// Hands lines over until one is dropped; says how many there were.
    fn fill(handle: &AccessLogHandle) -> usize {
        let long = Entry { path: "x".repeat(60 * 1024).into(), ..overflow() };
        let mut scratch = String::new();
        let mut lines = 0;
        while handle.dropped() == 0 {
            handle.log(&long, &mut scratch);
            lines += 1;
        }
        lines
    }

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_dropped_and_counted() {
        let (handle, writer, let_go, written) = stuck();
        let lines = fill(&handle);
        let held = {
            let lines = handle.waiting.lines();
            lines.writing + lines.text.len()
        };
        assert!(held <= CAPACITY && held + 61 * 1024 > CAPACITY, "{held} bytes wait");
        drop(let_go);
        handle.finish();
        writer.join(Duration::from_secs(60));
        assert_eq!(written.load(Ordering::Relaxed), lines - 1, "what waited is written");
        assert!(handle.waiting.lines().text.is_empty());
    }

    #[test]
    fn a_line_is_written_though_no_other_follows() {
        let (written, lines) = sync_channel(1);
        let (handle, writer) = start_with(AccessLogFormat::Text, Told(written)).unwrap();
        handle.log(&overflow(), &mut String::new());
        let line = lines.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(line.ends_with("limit.queue_full\n"), "{line}");
        handle.finish();
        writer.join(Duration::from_secs(60));
    }

    #[test]
    fn lines_keep_their_order_and_go_out_many_at_a_time() {
        const LINES: usize = 10_000;
        let (written, blocks) = sync_channel(LINES);
        let (handle, writer) = start_with(AccessLogFormat::Text, Told(written)).unwrap();
        let mut scratch = String::new();
        let began = Instant::now();
        for path in 0..LINES {
            handle.log(&Entry { path: path.to_string().into(), ..overflow() }, &mut scratch);
        }
        handle.finish();
        writer.join(Duration::from_secs(60));
        let flushes = began.elapsed().div_duration_f64(FLUSH).ceil();
        let blocks: Vec<_> = blocks.iter().collect();
        let text = blocks.concat();
        let paths = text.lines().map(|line| line.split(' ').nth(2).unwrap().parse::<usize>().unwrap());
        assert!(paths.eq(0..LINES));
        let most = (text.len() / MUCH) as f64 + flushes + 1.0;
        assert!(blocks.len() as f64 <= most, "{} blocks in {flushes} moments", blocks.len());
    }

    #[test]
    fn the_end_does_not_wait_for_a_sink_that_takes_nothing() {
        let (handle, writer, let_go, written) = stuck();
        fill(&handle);
        handle.finish();
        writer.join(Duration::from_millis(20));
        assert_eq!(written.load(Ordering::Relaxed), 0);
        drop(let_go);
    }

    #[test]
    fn the_end_waits_for_what_waits_and_is_being_written() {
        let (handle, writer, let_go, written) = stuck();
        let lines = fill(&handle);
        handle.finish();
        drop(let_go);
        writer.join(Duration::from_secs(60));
        assert_eq!(written.load(Ordering::Relaxed), lines - 1);
    }
}
