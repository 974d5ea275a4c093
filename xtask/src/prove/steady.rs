//! Callers that never exceed what is admitted, each with one request after the other: nobody is ever refused, whatever
//! connections close meanwhile.

use std::cell::Cell;
use std::io;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_testkit::{Answer, Caller, OriginOptions, Rig, Split};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::Effort;
use super::report::{Progress, Report};
use super::setup::Setup;

/// What a run of steady callers, or of callers that give up, came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) ok: u32,
    pub(super) refused: u32,
    pub(super) failed: u32,
    pub(super) given_up: u32,
}

/// Nothing that a healthy proxy does takes as long. A caller whose call fails calls no more, so that a proxy that is not is
/// found out soon.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How one call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    Refused,
    Failed,
    GivenUp,
}

impl Fate {
    /// What `answer` is to who asked for `target`.
    pub(super) fn of(answer: io::Result<Answer>, target: &str) -> Self {
        match answer {
            Ok(answer) if answer.status == 200 && answer.body == target.as_bytes() => Self::Answered,
            Ok(answer) if answer.status == 503 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

impl Tally {
    /// With one more call.
    pub(super) const fn with(mut self, fate: Fate) -> Self {
        match fate {
            Fate::Answered => self.ok += 1,
            Fate::Refused => self.refused += 1,
            Fate::Failed => self.failed += 1,
            Fate::GivenUp => self.given_up += 1,
        }
        self
    }
}

/// The classic first: two callers against 1/1. Then as many callers as each cluster admits.
pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let classic = |keep_alive, workers| case(effort.seed, (1, 1, UNLIMITED), true, keep_alive, workers);
    let part = effort.requests / 10;
    let cases = [
        (classic(true, 2), effort.requests),
        (classic(false, 2), effort.requests),
        (classic(true, 16), part),
        (case(effort.seed, (1, 1, UNLIMITED), false, true, 2), part),
        (case(effort.seed, (2, 3, UNLIMITED), true, false, 4), part),
        (case(effort.seed, (4, 1, 4), true, true, 8), part),
        (case(effort.seed, (3, 2, UNLIMITED), false, false, 16), part),
        (case(effort.seed, (3, 0, UNLIMITED), false, true, 4), part),
        (case(effort.seed, (4, 2, 3), true, true, 4), part),
    ];
    let mut progress = Progress::new("steady callers", cases.iter().map(|(_, requests)| requests).sum());
    for (setup, requests) in cases {
        one(&setup, requests, report).await?;
        progress.step(requests);
    }
    Ok(())
}

/// `limits` are N, P and R.
pub(super) fn case(
    seed: u64,
    limits: (u32, u32, u32),
    one_request: bool,
    keep_alive: bool,
    workers: usize,
) -> Setup {
    let (max_connections, max_pending_requests, max_requests) = limits;
    Setup {
        seed,
        workers,
        hosts: if workers > 2 { 3 } else { 1 },
        keep_alive,
        max_requests: if one_request { NonZeroU32::new(1) } else { None },
        thresholds: Thresholds {
            max_connections,
            max_pending_requests,
            max_requests,
            max_retries: UNLIMITED,
        },
    }
}

async fn one(setup: &Setup, requests: u32, report: &mut Report) -> anyhow::Result<()> {
    let options = OriginOptions { hosts: setup.hosts, seed: setup.seed, ..OriginOptions::default() };
    let rig = Rig::start(setup.workers, options, |hosts| setup.sketch("steady", hosts))?;
    let callers = Split::of(&setup.thresholds, UNLIMITED).admitted();
    let left = Rc::new(Cell::new(requests));
    let tally = Rc::new(Cell::new(Tally::default()));
    let local = LocalSet::new();
    for caller in rig.callers(callers, setup.keep_alive) {
        local.spawn_local(call(caller, Rc::clone(&left), Rc::clone(&tally)));
    }
    local.await;
    let (tally, count) = (tally.get(), rig.origin.count());
    let mut wrong = Vec::new();
    if tally.refused > 0 || tally.failed > 0 {
        wrong.push(format!("{} refused, {} failed", tally.refused, tally.failed));
    }
    if count.peak_requests > Split::running_bound(&setup.thresholds) {
        wrong.push(format!("{} requests at a time at the origin", count.peak_requests));
    }
    if count.peak_connections > setup.thresholds.max_connections {
        wrong.push(format!("{} connections at a time at the origin", count.peak_connections));
    }
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("afterwards {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    report.steady(setup, callers, tally, count, wrong);
    Ok(())
}

async fn call(mut caller: Caller, left: Rc<Cell<u32>>, tally: Rc<Cell<Tally>>) {
    while left.get() > 0 {
        left.set(left.get() - 1);
        let target = format!("/steady/{}", left.get());
        let answer = timeout(PATIENCE, caller.get(&target)).await;
        let fate = Fate::of(answer.unwrap_or_else(|late| Err(late.into())), &target);
        tally.set(tally.get().with(fate));
        if fate == Fate::Failed {
            return;
        }
    }
}
