//! One connection's part of a run: its warm-up call, then its calls, one after the other or when they are due.
//! The schedule is in `pace`, the socket in `client`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use jiff::Timestamp;

use crate::access_log::{Entry, Lines};
use crate::alarm::Alarm;
use crate::cancel::Cancel;
use crate::client::{Client, Reply, connecting_histogram};
use crate::engine::{Done, Message, Phase, Run};
use crate::event::{Level, LogLine};
use crate::go;
use crate::pace::{Pace, jittered};
use crate::tally::Tally;

/// One connection's part of the run.
pub(crate) struct Caller {
    run: Arc<Run>,
    id: usize,
    client: Client,
    tally: Tally,
    access_log: Option<Lines>,
}

impl Caller {
    pub(crate) fn new(run: Arc<Run>, id: usize) -> Self {
        let connecting = connecting_histogram(run.options.offset, run.options.resolution);
        let client = Client::new(Arc::clone(&run.destination), connecting, run.observer.clone(), id);
        let tally = Tally::new(&run.options);
        let access_log = run.access_log.as_ref().map(Lines::of);
        Self { run, id, client, tally, access_log }
    }

    /// A closed channel means that the coordinator gave up, so nobody misses what cannot be sent.
    pub(crate) async fn work(mut self, results: mpsc::UnboundedSender<Message>) {
        let mut phase = self.run.phase.subscribe();
        if self.id < self.run.plan.warmups {
            let id = self.id;
            let my_turn = |phase: &Phase| !matches!(phase, Phase::WarmUp(allowed) if *allowed <= id);
            match phase.wait_for(my_turn).await.map(|phase| *phase) {
                Ok(Phase::WarmUp(_)) => {
                    let reply = self.client.call().await;
                    let _ = results.send(Message::WarmedUp(reply));
                }
                Ok(Phase::Calls(_)) => {}
                Ok(Phase::GiveUp) | Err(_) => return,
            }
        }
        let start = match phase.wait_for(|phase| !matches!(phase, Phase::WarmUp(_))).await.map(|phase| *phase)
        {
            Ok(Phase::Calls(start)) if self.id < self.run.plan.connections => start,
            _ => return,
        };
        match self.run.plan.pace_of(self.id) {
            Some(pace) => self.keep_pace(pace, start).await,
            None => self.hurry(start).await,
        }
        self.flush_access_log();
        self.log_end(start);
        let done = Done { id: self.id, tally: self.tally, sockets: self.client.into_sockets() };
        let _ = results.send(Message::Done(Box::new(done)));
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
        let Run { plan, options, stop, .. } = &*Arc::clone(&self.run);
        let end = plan.end.map(|end| start + end);
        let mut alarm = Alarm::new();
        let mut slot = 0;
        let mut due = start + pace.due(slot);
        if sleep_until(due, &mut alarm, stop).await.is_break() {
            return;
        }
        let mut made = 0_u64;
        loop {
            let now = Instant::now();
            // Two calls are made in any case, and the last one although it is due when the time is up.
            let is_last = pace.calls.is_some_and(|calls| slot + 1 == calls);
            if end.is_some_and(|end| now > end) && made >= 2 && !is_last {
                self.log_behind(made, pace.calls, plan.end);
                return;
            }
            self.call(slot, now, Some(due)).await;
            made += 1;
            let elapsed = start.elapsed();
            let Some(next) = pace.next(slot, elapsed) else { return };
            slot = next;
            due = start + pace.due(slot);
            let pause = due.saturating_duration_since(start + elapsed);
            // A call that is late already must not look as if it came due only now.
            if options.jitter && !pause.is_zero() {
                let dice = dice(self.id as u64, slot);
                due = start + elapsed + jittered(pause, dice);
            }
            self.tally.sleeps.record(signed_seconds(start + elapsed, due));
            if !pause.is_zero() {
                self.flush_access_log();
            }
            if sleep_until(due, &mut alarm, stop).await.is_break() {
                return;
            }
        }
    }

    /// Makes one call and returns when it ended.
    async fn call(&mut self, iteration: u64, sent: Instant, due: Option<Instant>) -> Instant {
        let reply = self.client.call().await;
        let ended = Instant::now();
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

    fn flush_access_log(&mut self) {
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
        let (elapsed, calls) = (start.elapsed(), self.tally.durations.counter().count);
        let (id, took, qps) = (self.id, go::duration::format(elapsed), calls as f64 / elapsed.as_secs_f64());
        let message =
            format!("T{id:03} ended after {took} : {calls} calls. qps={}", go::number::shortest(qps));
        self.run.observer.log(LogLine::new(Level::Info, message));
    }
}

/// Waits for a call's time unless the run ends before.
async fn sleep_until(due: Instant, alarm: &mut Alarm, stop: &Cancel) -> ControlFlow<()> {
    if !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = alarm.sleep_until(due) => return ControlFlow::Continue(()),
        }
    }
    ControlFlow::Break(())
}

fn signed_seconds(from: Instant, to: Instant) -> f64 {
    if to >= from { (to - from).as_secs_f64() } else { -(from - to).as_secs_f64() }
}

/// A number in `[0, 1)` that looks random and is the same in every run (the finish of `SplitMix64`).
fn dice(connection: u64, slot: u64) -> f64 {
    let mut bits = (connection << 40 ^ slot).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
