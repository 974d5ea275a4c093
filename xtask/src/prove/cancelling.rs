//! Callers that give up at any moment: the connections that we hold stay within the bound, and nothing stays behind.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::Rng;
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_testkit::{Caller, OriginOptions, Rig, Split, burst};
use tokio::task::LocalSet;

use super::calls::{Calls, Fate, call};
use super::report::{Progress, Report, Run};
use super::setup::{PLENTY, Setup, Speakers, limits};
use super::{Effort, bursts};

/// Answers take up to this long, so that callers give up before, while and after one comes.
const DELAY: Duration = Duration::from_micros(1_500);

pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let case = |workers, thresholds| Setup::plain(effort.seed, workers, thresholds);
    let cases = [
        case(2, limits(1, 1, UNLIMITED)).one_request().without_keep_alive(),
        case(4, limits(2, 3, UNLIMITED)),
        case(8, limits(4, 2, 3)).one_request(),
        case(16, limits(10, 4, UNLIMITED)).without_keep_alive(),
        case(4, Thresholds::UNLIMITED),
        case(16, limits(3, 2, UNLIMITED)).speaking(Speakers::Mixed),
        case(1, limits(2, 1, UNLIMITED)).streams(NonZeroU32::new(2), Speakers::Http1),
        case(4, limits(2, 3, UNLIMITED)).streams(NonZeroU32::new(3), Speakers::Mixed),
    ];
    let mut progress = Progress::new("callers that give up", u32::try_from(cases.len())?);
    for setup in cases {
        one(&setup, effort.calls, report).await?;
        progress.step(1);
    }
    Ok(())
}

async fn one(setup: &Setup, calls: u32, report: &mut Report) -> anyhow::Result<()> {
    let options = OriginOptions { delay_below: DELAY, ..setup.origin() };
    let rig = Rig::start(setup.workers, options, |hosts| setup.sketch("cancelling", hosts))?;
    let callers = Split::of(&setup.slots(), PLENTY).admitted() * 2;
    let calls = Calls::new(calls);
    let local = LocalSet::new();
    let mut rng = Rng::new(setup.seed);
    for caller in setup.speakers(&rig.door(), callers) {
        local.spawn_local(call_and_give_up(caller, calls.clone(), Rng::new(rng.next_u64())));
    }
    local.await;
    let mut wrong = Vec::new();
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("afterwards {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    let (tally, count) = (calls.tally(), rig.origin.count());
    setup.look_at_peaks(&count, true, &mut wrong);
    if tally.failed > 0 {
        wrong.push(format!("{} failed", tally.failed));
    }
    let expected = Split::of(&setup.slots(), callers);
    let last = burst(&rig, setup.speakers(&rig.door(), callers), expected, report.patience()).await?;
    if last.held != expected || last.ok != expected.admitted() {
        wrong.push(format!("a burst of {callers} afterwards: {:?}, not {expected:?}", last.held));
    }
    bursts::end(last.callers).await;
    report.run(&Run { what: "giving up", setup, callers, tally, count }, wrong);
    Ok(())
}

async fn call_and_give_up(mut caller: Caller, calls: Rc<Calls>, mut rng: Rng) {
    while calls.next().is_some() {
        let fate = tokio::select! {
            biased;
            () = patience(&mut rng) => Fate::GivenUp,
            fate = call(&mut caller, "/cancelling") => fate,
        };
        calls.enter(fate);
        match fate {
            Fate::Answered => {}
            // Otherwise most calls would be refused ones.
            Fate::Refused => tokio::time::sleep(DELAY).await,
            Fate::GivenUp => caller.abort(rng.below(2) == 0),
            Fate::Failed => return,
        }
    }
    caller.end().await;
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
