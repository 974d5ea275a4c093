//! The log of ejections, written by a thread of its own. Ejections are rare, and as many lines are in it as the counters
//! say, unless the sink takes nothing: a detector that is not enforced may find something thousands of times a second, so
//! what waits is bounded and more is dropped with a warning. How a line looks is `fuseboard_admin::outlier_log`'s.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use fuseboard_admin::logging::logger;
use fuseboard_admin::outlier_log::OutlierRecord;
use fuseboard_core::Instant;
use fuseboard_core::outlier::{OutlierAction, OutlierEvent, OutlierPolicy};
use fuseboard_snapshot::Endpoint;
use tracing::warn;

use crate::clock;
use crate::error::StartError;
use crate::log_writer::Writer;
use crate::options::LogSink;

/// As many lines wait for a slow sink, as of the access log.
const CAPACITY: usize = 8192;

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct OutlierLog {
    /// `None` is the last word.
    records: SyncSender<Option<OutlierRecord>>,
    /// The last word was said; it may have found no room.
    ending: Arc<AtomicBool>,
    dropped: AtomicU64,
    /// Name of this proxy.
    caller: Arc<str>,
}

impl OutlierLog {
    /// Opens the sink and starts the writer, which ends with [`OutlierLog::finish`].
    pub(crate) fn start(sink: &LogSink, caller: &Arc<str>) -> Result<(Arc<Self>, Writer), StartError> {
        let sink = sink.open("outlier log")?;
        let (records, lines) = sync_channel(CAPACITY);
        let ending = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ending);
        let writer = Writer::start("outlier-log", move || write(&lines, &ended, sink))?;
        let log = Self { records, ending, dropped: AtomicU64::new(0), caller: Arc::clone(caller) };
        Ok((Arc::new(log), writer))
    }

    /// Hands over what happened to the host behind `endpoint`; never waits.
    pub(crate) fn log(
        &self,
        cluster: &Arc<str>,
        endpoint: &Endpoint,
        event: &OutlierEvent,
        policy: &OutlierPolicy,
        now: Instant,
    ) {
        if event.logged_action().is_none() {
            return;
        }
        let until = match event.action {
            OutlierAction::Ejected { due, .. } => Some(clock::wall(due)),
            _ => None,
        };
        let record = OutlierRecord {
            at: clock::wall(now),
            cluster: Arc::clone(cluster),
            address: endpoint.address,
            pod: Arc::clone(&endpoint.hostname),
            node: Arc::clone(&endpoint.node),
            zone: Arc::clone(&endpoint.locality.zone),
            caller: Arc::clone(&self.caller),
            event: event.clone(),
            threshold: policy.streak(event.action.detector()).map(|streak| streak.threshold),
            until,
        };
        // A writer that is gone has nothing to write to.
        if let Err(TrySendError::Full(_)) = self.records.try_send(Some(record)) {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                warn!(target: logger::MAIN, "outlier log: the sink takes nothing; {dropped} lines dropped so far");
            }
        }
    }

    /// Ends the writer, once it has written what waits.
    pub(crate) fn finish(&self) {
        self.ending.store(true, Ordering::Release);
        drop(self.records.try_send(None));
    }
}

/// Each line is out before the next is waited for. A sink that fails (a full disk) loses lines, not ejections.
fn write(records: &Receiver<Option<OutlierRecord>>, ending: &AtomicBool, mut sink: Box<dyn Write + Send>) {
    let next = || match records.try_recv() {
        Ok(record) => record,
        Err(TryRecvError::Empty) if !ending.load(Ordering::Acquire) => records.recv().ok().flatten(),
        Err(_) => None,
    };
    while let Some(record) = next() {
        let line = record.line().unwrap_or_default();
        drop(sink.write_all(line.as_bytes()).and_then(|()| sink.flush()));
    }
}
