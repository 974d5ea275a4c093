//! Runs the connections: threads, warm-up, the common start, pauses, the end. The schedule itself is in `pace`,
//! one connection in `client`, the sums in `tally`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Client, Destination, Reply, SocketCounts, connecting_histogram};
use crate::event::{Level, LogLine, Observer};
use crate::go;
use crate::options::Options;
use crate::pace::{Pace, jittered};
use crate::plan::{Plan, banner};
use crate::report::Report;
use crate::tally::Tally;
use crate::target::TargetError;

/// Ends a run from outside. Clones belong to the same run; a call under way is finished and counted.
#[derive(Debug, Clone)]
pub struct Cancel {
    sender: Arc<watch::Sender<bool>>,
}

impl Cancel {
    /// A handle that has not been used.
    pub fn new() -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)) }
    }

    /// Ends the run; calling it again changes nothing.
    pub fn cancel(&self) {
        self.sender.send_replace(true);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns when [`Cancel::cancel`] is called, at once if it was.
    pub async fn cancelled(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.sender.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a run has no result. fortio exits with 1 on these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A call before the clock started was not OK.
    #[error("Aborting because of error {code} for {url} ({bytes} bytes)")]
    Warmup {
        /// Status, or -1 for a socket error.
        code: i32,
        /// What was called.
        url: String,
        /// Bytes of the answer.
        bytes: u64,
    },
    /// The URL leads nowhere.
    #[error("Aborting because of {0}")]
    Target(#[from] TargetError),
    /// The operating system gave no thread, or no runtime for it.
    #[error("Aborting because of {0}")]
    Threads(#[from] std::io::Error),
    /// A thread of the run ended without its result.
    #[error("Aborting because a thread of the run was lost")]
    Lost,
}

/// Makes the calls and returns the result. `cancel` ends it early, with the result so far.
pub async fn run(options: Options, cancel: Cancel) -> Result<Report, RunError> {
    run_observed(options, cancel, Observer::silent()).await
}

/// As [`run`], and tells `observer` what happens at or above the run's log level.
pub async fn run_observed(options: Options, cancel: Cancel, observer: Observer) -> Result<Report, RunError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let observer = at_least(options.log_level, &observer);
    let mut options = options;
    let destination = Destination::resolve(&options).await?;
    if destination.target.scheme_was_missing {
        let given = &options.http.url;
        observer
            .log(LogLine::new(Level::Warning, format!("Assuming http:// on missing scheme for '{given}'")));
        options.http.url.clone_from(&destination.target.url);
    }
    observer.line(banner(&options, cores));

    let plan = Arc::new(Plan::of(&options));
    let (results, received) = mpsc::unbounded_channel();
    let run = Arc::new(Run {
        destination: Arc::new(destination),
        plan: Arc::clone(&plan),
        phase: watch::Sender::new(Phase::WarmUp(0)),
        stop: Cancel::new(),
        observer: observer.clone(),
        options: options.clone(),
    });
    let finished = tokio::select! {
        finished = coordinate(&run, results, received, cores) => finished,
        () = async { cancel.cancelled().await; run.stop.cancel(); std::future::pending().await } => Err(RunError::Lost),
    };
    // Whatever happened, no connection is left waiting for the next phase.
    run.stop.cancel();
    run.phase.send_replace(Phase::GiveUp);
    let Finished { started, elapsed, tally, sockets } = finished?;
    let calls = tally.durations.counter().count;
    if options.log_level <= Level::Info {
        let qps = calls as f64 / elapsed.as_secs_f64();
        observer.log(
            LogLine::new(Level::Info, "Run ended")
                .with("run", options.run_id)
                .with("elapsed", u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
                .with("calls", calls)
                .with("qps", qps),
        );
    }
    Ok(Report::new(options, &plan, started, elapsed, tally, sockets))
}

/// Lets log lines below `level` fall away.
fn at_least(level: Level, observer: &Observer) -> Observer {
    let inner = observer.clone();
    Observer::new(move |event| match event {
        crate::event::Event::Log(line) if line.level < level => {}
        crate::event::Event::Log(line) => inner.log(line),
        crate::event::Event::Line(line) => inner.line(line),
    })
}

/// What the connections of a run share.
#[derive(Debug)]
struct Run {
    destination: Arc<Destination>,
    plan: Arc<Plan>,
    phase: watch::Sender<Phase>,
    stop: Cancel,
    observer: Observer,
    options: Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Connections below this number may make their warm-up call.
    WarmUp(usize),
    /// The clock has started.
    Calls(Instant),
    /// The run is over before it began.
    GiveUp,
}

/// What one connection measured.
struct Done {
    id: usize,
    tally: Tally,
    sockets: SocketCounts,
}

/// What a connection sends to the coordinator.
enum Message {
    WarmedUp(Reply),
    Done(Box<Done>),
}

struct Finished {
    started: Timestamp,
    elapsed: Duration,
    tally: Tally,
    sockets: Vec<SocketCounts>,
}

async fn coordinate(
    run: &Arc<Run>,
    results: mpsc::UnboundedSender<Message>,
    mut received: mpsc::UnboundedReceiver<Message>,
    cores: usize,
) -> Result<Finished, RunError> {
    let Run { plan, options, observer, .. } = &**run;
    let clients = plan.connections.max(plan.warmups);
    spawn_threads(run, &results, clients, cores.min(clients).max(1))?;
    drop(results);

    warm_up(run, &mut received).await?;
    if options.log_level <= Level::Warning {
        plan.notices.iter().for_each(|notice| observer.log(notice.clone()));
        observer.line(plan.starting_line(options, cores));
    }
    let (started, clock) = (Timestamp::now(), Instant::now());
    run.phase.send_replace(Phase::Calls(clock));

    let mut tally = Tally::new(options);
    let mut sockets: Vec<(usize, SocketCounts)> = Vec::new();
    while sockets.len() < plan.connections {
        match received.recv().await {
            Some(Message::Done(done)) => {
                tally.merge(&done.tally);
                sockets.push((done.id, done.sockets));
            }
            Some(Message::WarmedUp(_)) => {}
            None => return Err(RunError::Lost),
        }
    }
    let elapsed = clock.elapsed();
    sockets.sort_by_key(|(id, _)| *id);
    Ok(Finished { started, elapsed, tally, sockets: sockets.into_iter().map(|(_, used)| used).collect() })
}

async fn warm_up(run: &Run, received: &mut mpsc::UnboundedReceiver<Message>) -> Result<(), RunError> {
    for answered in 0..run.plan.warmups {
        let allowed = if run.options.sequential_warmup { answered + 1 } else { run.plan.warmups };
        run.phase.send_replace(Phase::WarmUp(allowed));
        let Some(Message::WarmedUp(reply)) = received.recv().await else {
            return Err(RunError::Lost);
        };
        if !reply.is_ok() && !run.options.allow_initial_errors {
            let url = run.destination.target.url.clone();
            return Err(RunError::Warmup { code: reply.code, url, bytes: reply.bytes });
        }
    }
    Ok(())
}

/// Spreads the connections over threads with a runtime each, so that the caller's runtime does not disturb the
/// measurement nor the measurement it.
fn spawn_threads(
    run: &Arc<Run>,
    results: &mpsc::UnboundedSender<Message>,
    clients: usize,
    threads: usize,
) -> Result<(), RunError> {
    for thread in 0..threads {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (run, results) = (Arc::clone(run), results.clone());
        let work = move || {
            runtime.block_on(async {
                let mut connections = JoinSet::new();
                for id in (thread..clients).step_by(threads) {
                    connections.spawn(Connection::new(Arc::clone(&run), id).work(results.clone()));
                }
                while connections.join_next().await.is_some() {}
            });
        };
        std::thread::Builder::new().name(format!("load-{thread}")).spawn(work)?;
    }
    Ok(())
}

/// One connection's part of the run.
struct Connection {
    run: Arc<Run>,
    id: usize,
    client: Client,
    tally: Tally,
}

impl Connection {
    fn new(run: Arc<Run>, id: usize) -> Self {
        let connecting = connecting_histogram(run.options.offset, run.options.resolution);
        let client = Client::new(Arc::clone(&run.destination), connecting, run.observer.clone(), id);
        let tally = Tally::new(&run.options);
        Self { run, id, client, tally }
    }

    /// A closed channel means that the coordinator gave up, so nobody misses what cannot be sent.
    async fn work(mut self, results: mpsc::UnboundedSender<Message>) {
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
        self.log_end(start);
        let done = Done { id: self.id, tally: self.tally, sockets: self.client.sockets };
        let _ = results.send(Message::Done(Box::new(done)));
    }

    /// One call after the other.
    async fn hurry(&mut self, start: Instant) {
        let calls = self.run.plan.calls_of(self.id);
        let end = self.run.plan.end.map(|end| start + end);
        let mut made = 0;
        let mut sent = start;
        while calls.is_none_or(|calls| made < calls) && end.is_none_or(|end| sent <= end) {
            sent = self.call(sent, None).await;
            made += 1;
            if self.run.stop.is_cancelled() {
                break;
            }
        }
    }

    /// Calls when they are due.
    async fn keep_pace(&mut self, pace: Pace, start: Instant) {
        let Run { plan, options, stop, .. } = &*Arc::clone(&self.run);
        let end = plan.end.map(|end| start + end);
        let mut slot = 0;
        let mut due = start + pace.due(slot);
        if sleep_until(due, stop).await.is_break() {
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
            self.call(now, Some(due)).await;
            made += 1;
            let elapsed = start.elapsed();
            let Some(next) = pace.next(slot, elapsed) else { return };
            slot = next;
            due = start + pace.due(slot);
            let pause = due.saturating_duration_since(start + elapsed);
            if options.jitter {
                let dice = dice(self.id as u64, slot);
                due = start + elapsed + jittered(pause, dice);
            }
            self.tally.sleeps.record(signed_seconds(start + elapsed, due));
            if sleep_until(due, stop).await.is_break() {
                return;
            }
        }
    }

    /// Makes one call and returns when it ended.
    async fn call(&mut self, sent: Instant, due: Option<Instant>) -> Instant {
        let reply = self.client.call().await;
        let ended = Instant::now();
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
async fn sleep_until(due: Instant, stop: &Cancel) -> std::ops::ControlFlow<()> {
    if !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(due) => return std::ops::ControlFlow::Continue(()),
        }
    }
    std::ops::ControlFlow::Break(())
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
