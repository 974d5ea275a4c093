//! TCP connections: of n that come at once min(n, N) are served and the rest is closed, whoever left before and however; the
//! host never sees more than N; nothing stays behind. What goes over them is HTTP, of which the proxy knows nothing.

use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::Rng;
use fuseboard_core::limit::UNLIMITED;
use fuseboard_testkit::{Caller, OriginOptions, Rig};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::Effort;
use super::calls::{Calls, Fate};
use super::report::{Progress, Report, Run};
use super::setup::{Setup, limits};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let case = |workers, bound| Setup::plain(effort.seed, workers, limits(bound, 0, UNLIMITED));
    let cases = [case(1, 1), case(2, 1), case(2, 3), case(4, 10), case(8, 4), case(16, 30), case(4, 100)];
    let mut progress = Progress::new("TCP connections", u32::try_from(cases.len())?);
    for setup in cases {
        one(&setup, effort.calls, report).await?;
        progress.step(1);
    }
    Ok(())
}

async fn one(setup: &Setup, calls: u32, report: &mut Report) -> anyhow::Result<()> {
    let options = OriginOptions { hosts: setup.hosts, seed: setup.seed, ..OriginOptions::default() };
    let sketch = |hosts: &[_]| {
        let mut sketch = setup.sketch("tcp", hosts);
        sketch.tcp = true;
        sketch
    };
    let rig = Rig::start(setup.workers, options, sketch)?;
    let bound = setup.thresholds.max_connections;
    let mut wrong = Vec::new();
    burst_all(&rig, bound, "cold", &mut wrong).await;
    let callers = bound * 2 + 2;
    let calls = Calls::new(calls);
    let local = LocalSet::new();
    let mut rng = Rng::new(setup.seed);
    for caller in rig.callers(callers, true) {
        local.spawn_local(come_and_go(caller, calls.clone(), Rng::new(rng.next_u64())));
    }
    local.await;
    burst_all(&rig, bound, "after callers that came and went", &mut wrong).await;
    let (tally, count) = (calls.tally(), rig.origin.count());
    if count.peak_connections > bound {
        wrong.push(format!("{} connections at a time at the origin", count.peak_connections));
    }
    if tally.failed > 0 {
        wrong.push(format!("{} failed", tally.failed));
    }
    report.run(&Run { what: "tcp", setup, callers, tally, count }, wrong);
    Ok(())
}

/// Bursts of sizes around the bound, each when the one before has left no trace.
async fn burst_all(rig: &Rig, bound: u32, when: &str, wrong: &mut Vec<String>) {
    for size in [1, bound, bound + 1, bound * 2 + 3] {
        if !rig.is_quiet(PATIENCE).await {
            wrong.push(format!("{when}: {:?}, {:?} stay", rig.gauges(), rig.origin.count()));
            return;
        }
        let before = rig.counters();
        let local = LocalSet::new();
        let served: Vec<_> =
            rig.callers(size, true).into_iter().map(|caller| local.spawn_local(visit(caller))).collect();
        let ended = local.run_until(async {
            let mut ended = Vec::new();
            for task in served {
                ended.push(task.await);
            }
            ended
        });
        // Who was served stays connected until everybody was.
        let ended = ended.await;
        let served = ended.iter().flatten().filter(|(_, fate)| *fate == Fate::Answered).count();
        let refused = ended.iter().flatten().filter(|(_, fate)| *fate == Fate::Refused).count();
        let expected = (size.min(bound) as usize, (size - size.min(bound)) as usize);
        if (served, refused) != expected {
            wrong.push(format!("{when}: of {size} {served} were served and {refused} closed"));
        }
        let counted = rig.counters().cx_overflow - before.cx_overflow;
        if counted != u64::from(size.saturating_sub(bound)) {
            wrong.push(format!("{when}: of {size} {counted} are counted as overflow"));
        }
    }
}

async fn visit(mut caller: Caller) -> (Caller, Fate) {
    let fate = ask(&mut caller).await;
    (caller, fate)
}

/// An answer, or the end of the connection, which is how TCP is refused.
async fn ask(caller: &mut Caller) -> Fate {
    match timeout(PATIENCE, caller.get("/tcp")).await {
        Ok(Ok(answer)) if answer.status == 200 => Fate::Answered,
        Ok(Err(_)) => Fate::Refused,
        Ok(Ok(_)) | Err(_) => Fate::Failed,
    }
}

/// Comes, asks or does not, and goes in one way or another.
async fn come_and_go(mut caller: Caller, calls: Rc<Calls>, mut rng: Rng) {
    while calls.next().is_some() {
        let fate = match rng.below(4) {
            0 => match caller.connect().await {
                Ok(()) => Fate::GivenUp,
                Err(_) => Fate::Failed,
            },
            1 => match caller.send("/tcp").await {
                Ok(()) => Fate::GivenUp,
                Err(_) => Fate::Refused,
            },
            _ => ask(&mut caller).await,
        };
        calls.enter(fate);
        if fate != Fate::Answered || rng.below(3) == 0 {
            caller.abort(rng.below(2) == 0);
        }
        if fate == Fate::Failed {
            return;
        }
        tokio::task::yield_now().await;
    }
}
