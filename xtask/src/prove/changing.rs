//! Limits that change under way, also to none and back: callers that fit both before and after are never refused, nothing
//! stays behind, and the next burst is exact.

use std::num::NonZeroU32;
use std::time::Duration;

use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_testkit::{Count, Rig, Split, burst};
use tokio::task::LocalSet;

use super::calls::{Calls, call_on};
use super::report::{Progress, Report, Run};
use super::setup::{PLENTY, Setup, Speakers, limits};
use super::{Effort, bursts};

/// Between two changes, some dozens of requests pass.
const BETWEEN: Duration = Duration::from_millis(2);

pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let case = |workers, n, p, r| Setup::plain(effort.seed, workers, limits(n, p, r));
    let cases = [
        (case(2, 1, 4, UNLIMITED), limits(3, 2, UNLIMITED)),
        (case(4, 2, 3, UNLIMITED), Thresholds::UNLIMITED),
        (case(8, 4, 4, UNLIMITED).one_request(), Thresholds::UNLIMITED),
        (case(16, 1, 7, UNLIMITED).without_keep_alive(), Thresholds::UNLIMITED),
        (case(4, UNLIMITED, 0, 6), limits(6, 0, UNLIMITED)),
        (case(1, 1, 4, UNLIMITED).streams(NonZeroU32::new(2), Speakers::Http2), limits(2, 2, UNLIMITED)),
        (case(4, 2, 3, UNLIMITED).streams(NonZeroU32::new(3), Speakers::Mixed), limits(3, 0, UNLIMITED)),
        (case(4, 2, 4, UNLIMITED).streams(NonZeroU32::new(2), Speakers::Mixed), Thresholds::UNLIMITED),
    ];
    let mut progress = Progress::new("changing limits", u32::try_from(cases.len())?);
    for (setup, other) in cases {
        one(&setup, other, effort.requests, report).await?;
        progress.step(1);
    }
    Ok(())
}

async fn one(setup: &Setup, other: Thresholds, requests: u32, report: &mut Report) -> anyhow::Result<()> {
    let options = setup.origin();
    let mut rig = Rig::start(setup.workers, options, |hosts| setup.sketch("changing", hosts))?;
    let both = [setup.thresholds, other];
    let streams = setup.at_a_time();
    let callers = both.map(|thresholds| Split::of(&Split::slots(&thresholds, streams), PLENTY).admitted());
    let callers = callers[0].min(callers[1]);
    let calls = Calls::new(requests);
    let local = LocalSet::new();
    for caller in setup.speakers(&rig.door(), callers) {
        local.spawn_local(call_on(caller, calls.clone()));
    }
    let changes = async {
        while !calls.is_over() {
            for thresholds in both {
                tokio::time::sleep(BETWEEN).await;
                change(&mut rig, thresholds)?;
            }
        }
        anyhow::Ok(())
    };
    local.run_until(changes).await?;
    local.await;
    let tally = calls.tally();
    let mut wrong = Vec::new();
    if tally.refused > 0 || tally.failed > 0 {
        wrong.push(format!("{} refused, {} failed", tally.refused, tally.failed));
    }
    change(&mut rig, other)?;
    afterwards(&rig, setup, report, &mut wrong).await?;
    change(&mut rig, setup.thresholds)?;
    let count = afterwards(&rig, setup, report, &mut wrong).await?;
    report.run(&Run { what: "changing", setup, callers, tally, count }, wrong);
    Ok(())
}

fn change(rig: &mut Rig, thresholds: Thresholds) -> anyhow::Result<()> {
    let mut sketch = rig.sketch().clone();
    sketch.thresholds = thresholds;
    Ok(rig.apply(sketch)?)
}

/// What is idle fits the bound, and a burst is split as the limits in force say.
async fn afterwards(
    rig: &Rig,
    setup: &Setup,
    report: &Report,
    wrong: &mut Vec<String>,
) -> anyhow::Result<Count> {
    let thresholds = rig.sketch().thresholds;
    if !rig.is_quiet(report.patience()).await || rig.gauges().connections > thresholds.max_connections {
        wrong.push(format!("afterwards {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    rig.forget_peaks();
    let expected = Split::of(&Split::slots(&thresholds, setup.at_a_time()), PLENTY);
    let burst = burst(rig, setup.speakers(&rig.door(), PLENTY), expected, report.patience()).await?;
    if burst.held != expected || burst.count.peak_connections > thresholds.max_connections {
        wrong.push(format!("a burst of {PLENTY} afterwards: {:?}, {:?}", burst.held, burst.count));
    }
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("after the burst {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    bursts::end(burst.callers).await;
    Ok(burst.count)
}
