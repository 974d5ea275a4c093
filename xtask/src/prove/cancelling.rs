//! Callers that give up at any moment: the connections that we hold stay within the bound, and nothing stays behind.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::Rng;
use fuseboard_core::limit::UNLIMITED;
use fuseboard_testkit::{Caller, OriginOptions, Rig, Split, burst};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::Effort;
use super::report::{Progress, Report};
use super::setup::Setup;
use super::steady::{Fate, PATIENCE, Tally, case};

/// Answers take up to this long, so that callers give up before, while and after one comes.
const DELAY: Duration = Duration::from_micros(1_500);

const TARGET: &str = "/cancelling";

pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let cases = [
        case(effort.seed, (1, 1, UNLIMITED), true, false, 2),
        case(effort.seed, (2, 3, UNLIMITED), false, true, 4),
        case(effort.seed, (4, 2, 3), true, true, 8),
        case(effort.seed, (10, 4, UNLIMITED), false, false, 16),
        case(effort.seed, (UNLIMITED, 1, UNLIMITED), false, true, 4),
    ];
    let mut progress = Progress::new("callers that give up", u32::try_from(cases.len())?);
    for setup in cases {
        one(&setup, effort.calls, report).await?;
        progress.step(1);
    }
    Ok(())
}

async fn one(setup: &Setup, calls: u32, report: &mut Report) -> anyhow::Result<()> {
    let options = OriginOptions { hosts: setup.hosts, delay_below: DELAY, seed: setup.seed };
    let rig = Rig::start(setup.workers, options, |hosts| setup.sketch("cancelling", hosts))?;
    let admitted = Split::of(&setup.thresholds, 24).admitted();
    let left = Rc::new(Cell::new(calls));
    let tally = Rc::new(Cell::new(Tally::default()));
    let local = LocalSet::new();
    let mut rng = Rng::new(setup.seed);
    for caller in rig.callers(admitted * 2, setup.keep_alive) {
        local.spawn_local(call(caller, Rng::new(rng.next_u64()), Rc::clone(&left), Rc::clone(&tally)));
    }
    local.await;
    let mut wrong = Vec::new();
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("afterwards {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    let count = rig.origin.count();
    if count.peak_connections > setup.thresholds.max_connections {
        wrong.push(format!("{} connections at a time at the origin", count.peak_connections));
    }
    if tally.get().failed > 0 {
        wrong.push(format!("{} failed", tally.get().failed));
    }
    let n = admitted * 2;
    let expected = Split::of(&setup.thresholds, n);
    let last = burst(&rig, rig.callers(n, setup.keep_alive), expected, report.patience()).await?;
    if last.held != expected || last.ok != expected.admitted() {
        wrong.push(format!("a burst of {n} afterwards: {:?}, not {expected:?}", last.held));
    }
    report.cancelling(setup, n, tally.get(), count, wrong);
    Ok(())
}

async fn call(mut caller: Caller, mut rng: Rng, left: Rc<Cell<u32>>, tally: Rc<Cell<Tally>>) {
    while left.get() > 0 {
        left.set(left.get() - 1);
        let fate = tokio::select! {
            biased;
            () = patience(&mut rng) => Fate::GivenUp,
            answer = timeout(PATIENCE, caller.get(TARGET)) => {
                Fate::of(answer.unwrap_or_else(|late| Err(late.into())), TARGET)
            }
        };
        tally.set(tally.get().with(fate));
        match fate {
            Fate::Failed => return,
            Fate::GivenUp => caller.abort(rng.below(2) == 0),
            // Otherwise most calls would be refused ones.
            Fate::Refused => tokio::time::sleep(DELAY).await,
            Fate::Answered => {}
        }
    }
}

/// A third waits as long as it takes, a third gives up at once or nearly, a third within the time of an answer.
async fn patience(rng: &mut Rng) {
    match rng.below(3) {
        0 => std::future::pending().await,
        1 => {
            for _ in 0..rng.below(40) {
                tokio::task::yield_now().await;
            }
        }
        _ => tokio::time::sleep(Duration::from_micros(u64::from(rng.below(3_000)))).await,
    }
}
