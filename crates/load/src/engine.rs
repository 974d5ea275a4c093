//! Runs all connections: threads, warm-up, the common start, the end. What one connection does in between is in
//! `caller`; the sums are in `tally`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::access_log::AccessLog;
use crate::caller::Caller;
use crate::cancel::Cancel;
use crate::client::{Destination, Reply, connecting_histogram};
use crate::connection::SocketCounts;
use crate::event::{Level, LogLine, Observer};
use crate::grpc::status;
use crate::http2::Line;
use crate::open;
use crate::options::{AccessLogOptions, Options};
use crate::plan::{Plan, banner};
use crate::progress::Progress;
use crate::report::Report;
use crate::tally::Tally;
use crate::target::TargetError;

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
    /// A call of gRPC before the clock started came to nothing; the log says why.
    #[error("Aborting because of rpc error: {name} from {url}")]
    GrpcWarmup {
        /// The name of gRPC's error.
        name: String,
        /// What was called.
        url: String,
    },
    /// The URL leads nowhere.
    #[error("Aborting because of {0}")]
    Target(#[from] TargetError),
    /// The access log cannot be written.
    #[error("Aborting because the access log {path} cannot be opened: {source}")]
    AccessLog {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The operating system gave no thread, or no runtime for it.
    #[error("Aborting because of {0}")]
    Threads(#[from] std::io::Error),
    /// Ended from outside before the first call that counts.
    #[error("Interrupted during the warm-up: nothing was measured")]
    Interrupted,
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
    destination.announce(&observer);
    options.http.url.clone_from(&destination.target.url);
    observer.line(banner(&options, cores));
    let cores = options.threads.unwrap_or(cores);

    let access_log = options.access_log.as_ref().map(open_access_log).transpose()?;
    let plan = Arc::new(Plan::of(&options));
    let connecting = connecting_histogram(options.offset, options.resolution);
    let lines = destination.lines(plan.lines(plan.callers()), &connecting);
    let (results, received) = mpsc::unbounded_channel();
    let run = Arc::new(Run {
        destination: Arc::new(destination),
        lines,
        plan: Arc::clone(&plan),
        progress: Arc::new(plan.progress()),
        phase: watch::Sender::new(Phase::WarmUp(0)),
        stop: Cancel::new(),
        observer: observer.clone(),
        access_log,
        options: options.clone(),
    });
    let finished = tokio::select! {
        finished = coordinate(&run, results, received, cores) => finished,
        () = async { cancel.cancelled().await; run.stop.cancel(); std::future::pending().await } => Err(RunError::Lost),
    };
    // Whatever happened, no connection is left waiting for the next phase.
    run.stop.cancel();
    run.phase.send_replace(Phase::GiveUp);
    let measured = finished?;
    let (calls, elapsed) = (measured.tally().durations.counter().count, measured.elapsed);
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
    Ok(Report::new(options, &plan, measured))
}

fn open_access_log(options: &AccessLogOptions) -> Result<AccessLog, RunError> {
    let path = options.path.display().to_string();
    AccessLog::open(options).map_err(|source| RunError::AccessLog { path, source })
}

/// Lets log lines below `level` fall away.
pub(crate) fn at_least(level: Level, observer: &Observer) -> Observer {
    let inner = observer.clone();
    Observer::new(move |event| match event {
        crate::event::Event::Log(line) if line.level < level => {}
        crate::event::Event::Log(line) => inner.log(line),
        crate::event::Event::Line(line) => inner.line(line),
        crate::event::Event::WarmedUp(progress) => inner.warmed_up(&progress),
    })
}

/// What the connections of a run share.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) destination: Arc<Destination>,
    /// The connections, where callers share them.
    pub(crate) lines: Vec<Arc<Line>>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) phase: watch::Sender<Phase>,
    /// Ends the calls: from outside, or because of a code that ends the run.
    pub(crate) stop: Cancel,
    pub(crate) observer: Observer,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) options: Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Warm-up calls below this number may be made.
    WarmUp(usize),
    /// The clock has started.
    Calls(Instant),
    /// The run is over before it began.
    GiveUp,
}

/// What one connection measured, of its last phase.
pub(crate) struct Done {
    pub(crate) id: usize,
    pub(crate) phase: usize,
    pub(crate) tally: Tally,
    pub(crate) sockets: SocketCounts,
}

/// What a connection sends to the coordinator.
pub(crate) enum Message {
    WarmedUp(Reply),
    /// It is through with a phase.
    Phase(usize, Box<Tally>),
    Done(Box<Done>),
}

/// What all connections measured.
pub(crate) struct Measured {
    pub(crate) started: Timestamp,
    pub(crate) elapsed: Duration,
    /// One for each phase of the plan.
    pub(crate) phases: Vec<Tally>,
    pub(crate) callers: usize,
    /// One for each connection.
    pub(crate) sockets: Vec<SocketCounts>,
}

impl Measured {
    /// Of all phases.
    pub(crate) fn tally(&self) -> Tally {
        let mut phases = self.phases.iter();
        let mut all = phases.next().cloned();
        phases.for_each(|phase| all.iter_mut().for_each(|all| all.merge(phase)));
        all.unwrap_or_else(|| Tally::new(&Options::to("")))
    }
}

async fn coordinate(
    run: &Arc<Run>,
    results: mpsc::UnboundedSender<Message>,
    mut received: mpsc::UnboundedReceiver<Message>,
    cores: usize,
) -> Result<Measured, RunError> {
    let Run { plan, options, observer, .. } = &**run;
    spawn_threads(run, &results, cores)?;
    drop(results);

    warm_up(run, &mut received).await?;
    if options.log_level <= Level::Warning {
        plan.notices.iter().for_each(|notice| observer.log(notice.clone()));
        observer.line(plan.starting_line(options, cores));
    }
    observer.warmed_up(&run.progress);
    let (started, clock) = (Timestamp::now(), Instant::now());
    run.phase.send_replace(Phase::Calls(clock));

    let mut phases = vec![Tally::new(options); plan.phases()];
    let mut add =
        |phase: usize, tally: &Tally| phases.iter_mut().skip(phase).take(1).for_each(|sum| sum.merge(tally));
    let mut sockets: Vec<(usize, SocketCounts)> = Vec::new();
    // Ends when nobody is left who could send.
    while let Some(message) = received.recv().await {
        match message {
            Message::Done(done) => {
                add(done.phase, &done.tally);
                sockets.push((done.id, done.sockets));
            }
            Message::Phase(phase, tally) => add(phase, &tally),
            Message::WarmedUp(_) => {}
        }
    }
    if sockets.len() < if plan.open { 1 } else { plan.connections } {
        return Err(RunError::Lost);
    }
    let elapsed = clock.elapsed();
    let callers = sockets.len();
    Ok(Measured { started, elapsed, phases, callers, sockets: by_line(run, sockets) })
}

/// What each connection used: what its callers used, and what they share.
fn by_line(run: &Run, of_callers: Vec<(usize, SocketCounts)>) -> Vec<SocketCounts> {
    let mut lines: BTreeMap<usize, SocketCounts> = BTreeMap::new();
    for (id, used) in of_callers {
        let line = run.plan.line_of(id);
        match lines.entry(line) {
            Entry::Occupied(mut known) => known.get_mut().merge(&used),
            Entry::Vacant(place) => {
                let shared = run.lines.get(line).and_then(|line| line.sockets());
                let mut sockets = shared.unwrap_or_else(|| SocketCounts::new(used.connecting.emptied()));
                sockets.merge(&used);
                place.insert(sockets);
            }
        }
    }
    lines.into_values().collect()
}

async fn warm_up(run: &Run, received: &mut mpsc::UnboundedReceiver<Message>) -> Result<(), RunError> {
    for answered in 0..run.plan.warmups {
        let allowed = if run.options.sequential_warmup { answered + 1 } else { run.plan.warmups };
        run.phase.send_replace(Phase::WarmUp(allowed));
        let message = tokio::select! {
            biased;
            () = run.stop.cancelled() => return Err(RunError::Interrupted),
            message = received.recv() => message,
        };
        let Some(Message::WarmedUp(reply)) = message else {
            return Err(RunError::Lost);
        };
        if !reply.is_ok() && !run.options.allow_initial_errors {
            let url = run.destination.target.url.clone();
            if run.options.grpc.is_some() {
                // A service that is not well has answered all the same.
                if !status::is_error(reply.code) {
                    continue;
                }
                return Err(RunError::GrpcWarmup { name: status::shown(reply.code), url });
            }
            return Err(RunError::Warmup { code: reply.code, url, bytes: reply.bytes });
        }
    }
    Ok(())
}

/// Spreads the connections over threads with a runtime each, so that the caller's runtime does not disturb the
/// measurement nor the measurement it. Open arrivals have one thread, because they have one row of calls.
fn spawn_threads(
    run: &Arc<Run>,
    results: &mpsc::UnboundedSender<Message>,
    cores: usize,
) -> Result<(), RunError> {
    let clients = run.plan.callers();
    // Who shares a connection shares a thread.
    let threads = if run.plan.open { 1 } else { cores.min(run.plan.lines(clients)).max(1) };
    for thread in 0..threads {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (run, results) = (Arc::clone(run), results.clone());
        let work = move || {
            runtime.block_on(async {
                if run.plan.open {
                    return open::arrive(run, results).await;
                }
                let mut connections = JoinSet::new();
                for id in (0..clients).filter(|id| run.plan.line_of(*id) % threads == thread) {
                    connections.spawn(Caller::new(Arc::clone(&run), id, results.clone()).work());
                }
                drop(results);
                while connections.join_next().await.is_some() {}
            });
        };
        std::thread::Builder::new().name(format!("load-{thread}")).spawn(work)?;
    }
    Ok(())
}
