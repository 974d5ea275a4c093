//! The log of ejections, written by a thread of its own. Ejections are rare and each must be in the log, so no line is
//! dropped: as many lines are in it as the counters say. How a line looks is `fuseboard_admin::outlier_log`'s.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use fuseboard_admin::outlier_log::OutlierRecord;
use fuseboard_core::Instant;
use fuseboard_core::outlier::{OutlierAction, OutlierEvent, OutlierPolicy};
use fuseboard_snapshot::Endpoint;

use crate::clock;
use crate::error::StartError;
use crate::log_writer::Writer;
use crate::options::LogSink;

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct OutlierLog {
    /// `None` is the last word.
    records: Sender<Option<OutlierRecord>>,
    /// Name of this proxy.
    caller: Arc<str>,
}

impl OutlierLog {
    /// Opens the sink and starts the writer, which ends with [`OutlierLog::finish`].
    pub(crate) fn start(sink: &LogSink, caller: &Arc<str>) -> Result<(Arc<Self>, Writer), StartError> {
        let sink = sink.open("outlier log")?;
        let (records, lines) = channel();
        let writer = Writer::start("outlier-log", move || write(&lines, sink))?;
        Ok((Arc::new(Self { records, caller: Arc::clone(caller) }), writer))
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
            threshold: policy.detector(event.action.detector()).threshold,
            until,
        };
        // A writer that is gone has nothing to write to.
        drop(self.records.send(Some(record)));
    }

    /// Ends the writer, once it has written what waits.
    pub(crate) fn finish(&self) {
        drop(self.records.send(None));
    }
}

/// Each line is out before the next is waited for. A sink that fails (a full disk) loses lines, not ejections.
fn write(records: &Receiver<Option<OutlierRecord>>, mut sink: Box<dyn Write + Send>) {
    while let Ok(Some(record)) = records.recv() {
        let line = record.line().unwrap_or_default();
        drop(sink.write_all(line.as_bytes()).and_then(|()| sink.flush()));
    }
}
