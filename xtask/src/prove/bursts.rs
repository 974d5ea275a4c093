//! Bursts around the limits: the same numbers admitted, queued and refused whatever the workers, hosts and idle connections.

use std::io;
use std::time::Duration;

use fuseboard_core::limit::UNLIMITED;
use fuseboard_testkit::{Burst, Caller, Counters, Rig, Split, burst};

use super::report::{Progress, Report};
use super::setup::{Before, Round, Setup};
use super::{Effort, envoy};

/// Most connections that are made idle elsewhere.
const ELSEWHERE: u32 = 8;

pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let plain = grid("bursts", effort.seed, effort.rounds, Setup::of_seed, report).await?;
    let streams =
        grid("bursts of streams", effort.seed, effort.stream_rounds, Setup::streams_of_seed, report).await?;
    let Some(program) = envoy::program(report) else { return Ok(()) };
    // What becomes of it is no failure of ours.
    if let Err(error) = envoy::bursts(&program, &[plain, streams].concat(), report).await {
        report.envoy(format!("not to its end: {error:#}"));
    }
    Ok(())
}

/// Bursts of one setup after the other; the setups.
async fn grid(
    what: &'static str,
    first: u64,
    rounds: u32,
    setup: impl Fn(u64) -> Setup,
    report: &mut Report,
) -> anyhow::Result<Vec<Setup>> {
    let mut progress = Progress::new(what, rounds);
    let (mut left, mut setups) = (rounds, Vec::new());
    for seed in first.. {
        if left == 0 || report.is_full() {
            break;
        }
        let setup = setup(seed);
        setups.push(setup.clone());
        let mut stage = Stage::start(setup)?;
        for round in stage.setup.rounds() {
            if left == 0 || report.is_full() {
                break;
            }
            left -= 1;
            stage.round(round, report).await?;
            progress.step(1);
        }
        end(stage.callers).await;
    }
    Ok(setups)
}

/// A proxy that ends waits for its clients, who have to hear of it.
pub(super) async fn end(callers: Vec<Caller>) {
    for caller in callers {
        caller.end().await;
    }
}

/// A setup at work.
struct Stage {
    setup: Setup,
    rig: Rig,
    callers: Vec<Caller>,
    clusters: u32,
}

impl Stage {
    fn start(setup: Setup) -> io::Result<Self> {
        let origin = setup.origin();
        let rig = Rig::start(setup.workers, origin, |hosts| setup.sketch("cluster-0", hosts))?;
        Ok(Self { setup, rig, callers: Vec::new(), clusters: 1 })
    }

    async fn round(&mut self, round: Round, report: &mut Report) -> io::Result<()> {
        // They keep their workers busy, so that the burst's callers are on others.
        let patience = report.patience();
        let mut others = Vec::new();
        match round.before {
            Before::Cold => self.renew(patience).await?,
            Before::Warm => {}
            Before::WarmElsewhere => {
                others = self.warm_elsewhere(patience).await?;
                self.callers.clear();
            }
        }
        let expected = Split::of(&self.setup.slots(), round.callers);
        let before = self.rig.counters();
        self.rig.forget_peaks();
        let mut callers = self.setup.speakers(&self.rig.door(), round.callers);
        for (caller, kept) in callers.iter_mut().zip(self.callers.drain(..)) {
            *caller = kept;
        }
        let burst = burst(&self.rig, callers, expected, patience).await?;
        let mut wrong = Vec::new();
        check(&self.setup, &burst, expected, &mut wrong);
        check_counters(&self.setup, expected, before, self.rig.counters(), &mut wrong);
        if !self.rig.is_quiet(patience).await {
            wrong.push(format!("afterwards {:?}, {:?}", self.rig.gauges(), self.rig.origin.count()));
        }
        drop(others);
        report.burst(&self.setup, round, expected, &burst, wrong);
        self.callers = burst.callers;
        Ok(())
    }

    /// A new cluster in place of the old one, whose shared connections are closed by their drivers and would be counted to the new one.
    async fn renew(&mut self, patience: Duration) -> io::Result<()> {
        let name = format!("cluster-{}", self.clusters);
        self.clusters += 1;
        let sketch = self.setup.sketch(&name, self.rig.origin.addresses());
        self.rig.apply(sketch)?;
        self.rig.is_quiet(patience).await;
        Ok(())
    }

    /// A new cluster whose connections are idle at its first host, opened by callers that stay.
    async fn warm_elsewhere(&mut self, patience: Duration) -> io::Result<Vec<Caller>> {
        self.renew(patience).await?;
        let all = self.rig.sketch().clone();
        let mut first = all.clone();
        first.hosts.truncate(1);
        self.rig.apply(first)?;
        let slots = self.setup.slots();
        let n = Split::running_bound(&slots).min(ELSEWHERE);
        let warm = burst(&self.rig, self.rig.callers(n, true), Split::of(&slots, n), patience);
        let callers = warm.await?.callers;
        self.rig.is_quiet(patience).await;
        self.rig.apply(all)?;
        Ok(callers)
    }
}

fn check(setup: &Setup, burst: &Burst, expected: Split, wrong: &mut Vec<String>) {
    let mut equal = |what: &str, seen: u32, wanted: u32| {
        if seen != wanted {
            wrong.push(format!("{what} {seen}, not {wanted}"));
        }
    };
    equal("running", burst.held.running, expected.running);
    equal("waiting", burst.held.waiting, expected.waiting);
    equal("refused at once", burst.held.refused, expected.refused);
    equal("active requests by the gauge", burst.gauges.requests, expected.running);
    equal("answered 200", burst.ok, expected.admitted());
    equal("answered 503", burst.refused, expected.refused);
    let mut bounded = |what: &str, seen: u32, bound: u32| {
        if seen > bound {
            wrong.push(format!("{what} {seen}, more than {bound}"));
        }
    };
    bounded("requests at the origin", burst.count.peak_requests, setup.running_bound());
    bounded("connections at the origin", burst.count.peak_connections, setup.thresholds.max_connections);
    bounded("connections by the gauge", burst.gauges.connections, setup.thresholds.max_connections);
    wrong.extend(burst.other.iter().cloned());
}

fn check_counters(
    setup: &Setup,
    expected: Split,
    before: Counters,
    after: Counters,
    wrong: &mut Vec<String>,
) {
    let limits = setup.slots();
    let queues = limits.max_connections <= limits.max_requests && limits.max_connections != UNLIMITED;
    let (refused, waiting) = (u64::from(expected.refused), u64::from(expected.waiting));
    let mut equal = |name: &str, seen: u64, wanted: u64| {
        if seen != wanted {
            wrong.push(format!("{name} grew by {seen}, not {wanted}"));
        }
    };
    let grown = |of: fn(&Counters) -> u64| of(&after) - of(&before);
    let by_queue = if queues { refused } else { 0 };
    equal("upstream_rq_pending_overflow", grown(|c| c.pending_overflow), by_queue);
    equal("upstream_rq_active_overflow", grown(|c| c.active_overflow), refused - by_queue);
    equal("upstream_rq_pending_total", grown(|c| c.pending_total), waiting);
    equal("upstream_cx_overflow", grown(|c| c.cx_overflow), waiting + by_queue);
}
