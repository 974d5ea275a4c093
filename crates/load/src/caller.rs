//! One connection's part of a run: its warm-up call, then its calls, one after the other or when they are due.
//! The schedule is in `pace`, the socket in `client`; open arrivals are handed to callers by `open`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use jiff::Timestamp;

use crate::access_log::{Entry, Lines};
use crate::alarm::Alarm;
use crate::cancel::Cancel;
use crate::client::{Reply, connecting_histogram};
use crate::engine::{Done, Message, Phase, Run};
use crate::event::{Level, LogLine};
use crate::go;
use crate::pace::{Pace, Walk, jittered};
use crate::protocol::Client;
use crate::tally::Tally;

/// One connection's part of the run.
pub(crate) struct Caller {
    run: Arc<Run>,
    id: usize,
    client: Client,
    /// Of the current phase.
    tally: Tally,
    phase: usize,
    made: u64,
    access_log: Option<Lines>,
    results: mpsc::UnboundedSender<Message>,
}

impl Caller {
    /// What it measures goes to `results`. A closed channel means that the coordinator gave up, so nobody misses what
    /// cannot be sent.
    pub(crate) fn new(run: Arc<Run>, id: usize, results: mpsc::UnboundedSender<Message>) -> Self {
        let connecting = connecting_histogram(run.options.offset, run.options.resolution);
        let line = run.lines.get(run.plan.line_of(id));
        let client = Client::new(&run.destination, line, connecting, run.observer.clone(), id);
        let tally = Tally::new(&run.options);
        let access_log = run.access_log.as_ref().map(Lines::of);
        Self { run, id, client, tally, phase: 0, made: 0, access_log, results }
    }

    pub(crate) async fn work(mut self) {
        let Some(start) = self.ready().await else { return };
        match self.run.plan.pace_of(self.id) {
            Some(pace) => self.keep_pace(pace, start).await,
            None => self.hurry(start).await,
        }
        self.log_end(start);
        self.finish();
    }

    /// Makes its warm-up call, if it has one, and waits for the start; `None` when it has no part in the run.
    pub(crate) async fn ready(&mut self) -> Option<Instant> {
        let mut phase = self.run.phase.subscribe();
        if let Some(place) = self.run.plan.warmup_of(self.id) {
            let my_turn = |phase: &Phase| !matches!(phase, Phase::WarmUp(allowed) if *allowed <= place);
            match phase.wait_for(my_turn).await.map(|phase| *phase) {
                Ok(Phase::WarmUp(_)) => {
                    let reply = self.client.call().await;
                    let _ = self.results.send(Message::WarmedUp(reply));
                }
                Ok(Phase::Calls(_)) => {}
                Ok(Phase::GiveUp) | Err(_) => return None,
            }
        }
        match phase.wait_for(|phase| !matches!(phase, Phase::WarmUp(_))).await.map(|phase| *phase) {
            Ok(Phase::Calls(start)) if self.id < self.run.plan.connections => Some(start),
            _ => None,
        }
    }

    /// Hands over what it measured.
    pub(crate) fn finish(mut self) {
        self.flush_access_log();
        let Self { id, phase, tally, client, results, .. } = self;
        let done = Done { id, phase, tally, sockets: client.into_sockets() };
        let _ = results.send(Message::Done(Box::new(done)));
    }

    /// The next call belongs to `phase`, and was `held` if it waited because as many as allowed were in flight.
    pub(crate) fn enter(&mut self, phase: usize, held: bool) {
        if phase != self.phase {
            let tally = std::mem::replace(&mut self.tally, Tally::new(&self.run.options));
            let _ = self.results.send(Message::Phase(self.phase, Box::new(tally)));
            self.phase = phase;
        }
        self.tally.held += u64::from(held);
    }

    /// One call after the other.
    async fn hurry(&mut self, start: Instant) {
        let calls = self.run.plan.calls_of(self.id);
        let end = self.run.plan.end.map(|end| start + end);
        let mut made = 0;
        let mut sent = start;
        let is_due = |made, sent| calls.is_none_or(|calls| made < calls) && end.is_none_or(|end| sent <= end);
        // Asked before the first call too: the run may have been ended while it warmed up.
        while is_due(made, sent) && !self.run.stop.is_cancelled() {
            sent = self.call(made, sent, None).await;
            made += 1;
        }
    }

    /// Calls when they are due.
    async fn keep_pace(&mut self, pace: Pace, start: Instant) {
        let Run { options, stop, .. } = &*Arc::clone(&self.run);
        let (calls, end) = (pace.calls, pace.end);
        let mut alarm = Alarm::new();
        let Some(mut walk) = Walk::begin(pace) else { return };
        while sleep_until(start + walk.due(), &mut alarm, stop).await.is_continue() {
            let now = Instant::now();
            if !walk.goes_on(now - start) {
                self.log_behind(walk.slot(), calls, end);
                return;
            }
            self.enter(walk.phase(), false);
            self.call(walk.slot(), now, Some(start + walk.due())).await;
            let id = self.id as u64;
            let jitter = |slot, pause| if options.jitter { jittered(pause, dice(id, slot)) } else { pause };
            let Some(pause) = walk.advance(start.elapsed(), jitter) else { return };
            self.tally.sleeps.record(pause);
            if pause > 0.0 {
                self.flush_access_log();
            }
        }
    }

    /// Makes one call and returns when it ended.
    pub(crate) async fn call(&mut self, iteration: u64, sent: Instant, due: Option<Instant>) -> Instant {
        let reply = self.client.call().await;
        let ended = Instant::now();
        self.made += 1;
        self.run.progress.count(reply.is_ok());
        self.note_in_access_log(iteration, reply, ended - sent);
        self.tally.record(reply, ended - sent, due.map(|due| sent.saturating_duration_since(due)));
        let Run { options, stop, observer, .. } = &*self.run;
        if options.abort_on == Some(reply.code) {
            stop.cancel();
            observer.log(
                LogLine::new(Level::Info, "Aborted run because of http code")
                    .with("run", options.run_id)
                    .with("code", reply.code)
                    .with("size", reply.bytes),
            );
        }
        ended
    }

    fn note_in_access_log(&mut self, iteration: u64, reply: Reply, took: Duration) {
        let Some(lines) = &mut self.access_log else { return };
        let entry = Entry { thread: self.id, iteration, ended: Timestamp::now(), took, reply };
        let written = lines.add(&entry);
        self.report_access_log(written);
    }

    pub(crate) fn flush_access_log(&mut self) {
        let written = self.access_log.as_mut().map_or(Ok(()), Lines::flush);
        self.report_access_log(written);
    }

    fn report_access_log(&self, written: std::io::Result<()>) {
        if let Err(error) = written {
            let line = LogLine::new(Level::Error, "Unable to write the access log");
            self.run.observer.log(line.with("err", error.to_string()).with("thread", self.id));
        }
    }

    fn log_behind(&self, made: u64, calls: Option<u64>, end: Option<Duration>) {
        let (calls, end) = (calls.unwrap_or(0), go::duration::format(end.unwrap_or_default()));
        let message =
            format!("T{:03} warning only did {made} out of {calls} calls before reaching {end}", self.id);
        self.run.observer.log(LogLine::new(Level::Warning, message));
    }

    fn log_end(&self, start: Instant) {
        if self.run.options.log_level > Level::Info {
            return;
        }
        let (elapsed, calls) = (start.elapsed(), self.made);
        let (id, took, qps) = (self.id, go::duration::format(elapsed), calls as f64 / elapsed.as_secs_f64());
        let message =
            format!("T{id:03} ended after {took} : {calls} calls. qps={}", go::number::shortest(qps));
        self.run.observer.log(LogLine::new(Level::Info, message));
    }
}

/// Waits for a call's time unless the run ends before.
pub(crate) async fn sleep_until(due: Instant, alarm: &mut Alarm, stop: &Cancel) -> ControlFlow<()> {
    if !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = alarm.sleep_until(due) => return ControlFlow::Continue(()),
        }
    }
    ControlFlow::Break(())
}

/// A number in `[0, 1)` that looks random and is the same in every run (the finish of `SplitMix64`).
fn dice(connection: u64, slot: u64) -> f64 {
    let mut bits = (connection << 40 ^ slot).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
