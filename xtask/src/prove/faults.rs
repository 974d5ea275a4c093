//! Hosts that turn away, close, reset and stay silent where it hurts most: of callers that fit none is refused, hosts never see more than they may, each call
//! ends once, and nothing stays behind.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::Rng;
use fuseboard_core::limit::UNLIMITED;
use fuseboard_testkit::{Caller, Counters, Faults, OriginOptions, Rig, Split, settle};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::Effort;
use super::judge::{Docket, Seen};
use super::report::{FaultRow, Progress, Report};
use super::setup::Speakers::{Http1, Http2, Mixed};
use super::setup::{PLENTY, Setup, limits};

/// Of a hundred requests so many are treated badly.
const PERCENT: u32 = 15;

/// Bound of an exchange: those that are never answered end then.
const TIMEOUT: Duration = Duration::from_millis(60);

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let case = |workers, n, p, r| Setup::plain(effort.seed, workers, limits(n, p, r));
    let (two, three) = (NonZeroU32::new(2), NonZeroU32::new(3));
    let cases = [
        case(1, 1, 1, UNLIMITED),
        case(2, 1, 1, UNLIMITED).one_request().without_keep_alive(),
        case(4, 2, 3, UNLIMITED),
        case(8, 4, 1, 4),
        case(16, 3, 6, UNLIMITED),
        case(4, 4, 2, 3),
        case(4, 2, 4, UNLIMITED).speaking(Mixed),
        case(1, 1, 2, UNLIMITED).streams(two, Http2),
        case(4, 2, 3, UNLIMITED).streams(three, Mixed),
        case(16, 3, 4, 7).streams(three, Http1),
        case(4, 2, 4, UNLIMITED).streams(three, Http2).offering(2),
    ];
    let mut progress = Progress::new("hosts that fail", u32::try_from(cases.len() * 2)?);
    for setup in cases {
        for silence in [false, true] {
            one(&setup, silence, effort.calls, report).await?;
            progress.step(1);
        }
    }
    Ok(())
}

/// What all callers share.
struct Scene {
    rig: Rig,
    left: Cell<u32>,
    row: Cell<FaultRow>,
    docket: RefCell<Docket>,
}

async fn one(setup: &Setup, silence: bool, calls: u32, report: &mut Report) -> anyhow::Result<()> {
    let options = OriginOptions { faults: Faults { percent: PERCENT, silence }, ..setup.origin() };
    let rig = Rig::start(setup.workers, options, |hosts| {
        let mut sketch = setup.sketch("faults", hosts);
        sketch.timeout = silence.then_some(TIMEOUT);
        sketch
    })?;
    rig.origin.note_runs();
    let callers = Split::of(&setup.slots(), PLENTY).admitted();
    let scene =
        Rc::new(Scene { rig, left: Cell::new(calls), row: Cell::default(), docket: RefCell::default() });
    let local = LocalSet::new();
    let mut rng = Rng::new(setup.seed);
    for caller in setup.speakers(&scene.rig.door(), callers) {
        local.spawn_local(Rc::clone(&scene).call_on(caller, Rng::new(rng.next_u64())));
    }
    local.await;
    let mut wrong = Vec::new();
    let rig = &scene.rig;
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("afterwards {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    // What a caller has read is counted a moment later.
    settle(report.patience(), || rig.counters().ended >= u64::from(calls)).await;
    let counters = rig.counters();
    let mut docket = scene.docket.take();
    docket.close(rig.origin.take_all_runs());
    let row = FaultRow {
        silence,
        callers,
        refused: counters.pending_overflow + counters.active_overflow,
        resent: counters.resent,
        count: rig.origin.count(),
        ..scene.row.get()
    };
    check(setup, &row, counters, calls, &mut wrong);
    if docket.repeated > counters.resent {
        wrong.push(format!("{} ran a second time, and {} were sent again", docket.repeated, counters.resent));
    }
    wrong.extend(docket.wrong);
    wrong.truncate(5);
    report.faults(setup, &row, wrong);
    Ok(())
}

fn check(setup: &Setup, row: &FaultRow, counters: Counters, calls: u32, wrong: &mut Vec<String>) {
    if row.refused > 0 {
        wrong.push(format!("{} refused, of callers that fit", row.refused));
    }
    setup.look_at_peaks(&row.count, row.silence, wrong);
    let ended = row.answered + row.flagged + row.broken;
    if (u64::from(ended), counters.ended) != (u64::from(calls), u64::from(calls)) {
        wrong.push(format!("of {calls} calls {ended} ended, and {} are counted", counters.ended));
    }
    // A try ends once. One that ends before there is a connection is not counted as sent, and is no less the host's.
    let early = counters.outcomes.checked_sub(counters.tries);
    if early.is_none_or(|early| early > counters.connect_fails + counters.timeouts) {
        wrong.push(format!("{} tries have {} outcomes", counters.tries, counters.outcomes));
    }
}

impl Scene {
    /// One call after the other, until there is none left.
    async fn call_on(self: Rc<Self>, mut caller: Caller, mut rng: Rng) {
        while let Some(left) = self.left.get().checked_sub(1) {
            self.left.set(left);
            let target = format!("/faults/{left}");
            let repeatable = rng.below(2) == 0;
            let method = if repeatable { "GET" } else { "POST" };
            let answer = timeout(PATIENCE, caller.ask(method, &target)).await;
            let seen = answer.map_or(Seen::Silence, |answer| Seen::of(&answer, &target));
            let mut row = self.row.get();
            match seen {
                Seen::Answered => row.answered += 1,
                Seen::Flagged { .. } => row.flagged += 1,
                Seen::Broken => {
                    row.broken += 1;
                    // Of HTTP/2 only the stream is gone.
                    caller.abort(true);
                }
                Seen::GivenUp | Seen::Silence | Seen::Wrong(_) => {}
            }
            self.row.set(row);
            let runs = self.rig.origin.take_runs(&target);
            let mut docket = self.docket.borrow_mut();
            docket.enter(target, repeatable, seen, runs);
            if seen == Seen::Silence {
                return;
            }
        }
        caller.end().await;
    }
}
