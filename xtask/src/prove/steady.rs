//! Callers that never exceed what is admitted, each with one request after the other: nobody is ever refused, whatever
//! connections close meanwhile.

use std::num::NonZeroU32;

use fuseboard_core::limit::UNLIMITED;
use fuseboard_testkit::{Rig, Split};
use tokio::task::LocalSet;

use super::Effort;
use super::calls::{Calls, call_on};
use super::report::{Progress, Report, Run};
use super::setup::Speakers::{Http1, Http2, Mixed};
use super::setup::{PLENTY, Setup, limits};
/// The classic first: two callers against 1/1. Then as many callers as each cluster admits.
pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let case = |workers, n, p, r| Setup::plain(effort.seed, workers, limits(n, p, r));
    let classic = |workers| case(workers, 1, 1, UNLIMITED).one_request();
    let part = effort.requests / 10;
    let (two, three) = (NonZeroU32::new(2), NonZeroU32::new(3));
    let cases = [
        (classic(2), effort.requests),
        (classic(2).without_keep_alive(), effort.requests),
        (classic(16), part),
        (case(2, 1, 1, UNLIMITED), part),
        (case(4, 2, 3, UNLIMITED).one_request().without_keep_alive(), part),
        (case(8, 4, 1, 4).one_request(), part),
        (case(16, 3, 2, UNLIMITED).without_keep_alive(), part),
        (case(4, 3, 0, UNLIMITED), part),
        (case(4, 4, 2, 3).one_request(), part),
        (case(1, 1, 1, UNLIMITED).streams(two, Http2), part),
        (case(4, 1, 1, UNLIMITED).streams(two, Mixed).without_keep_alive(), part),
        (case(4, 2, 3, 6).streams(three, Mixed), part),
        (case(1, 3, 0, UNLIMITED).streams(two, Http1), part),
        (case(4, 3, 2, UNLIMITED).streams(NonZeroU32::new(1), Http2), part),
        (case(4, 2, 4, UNLIMITED).one_request().streams(three, Mixed), part),
        (case(4, 2, 4, 5).streams(three, Http2), part),
        (case(4, 1, 0, UNLIMITED).streams(None, Mixed), part),
        (case(1, 1, 1, UNLIMITED).streams(three, Http2).offering(1), part),
        (case(4, 2, 3, UNLIMITED).streams(three, Http2).offering(1), part),
        (case(4, 3, 0, UNLIMITED).streams(three, Mixed).offering(2), part),
        (case(4, 2, 4, UNLIMITED).streams(None, Http2).offering(2).without_keep_alive(), part),
        (case(1, 1, 4, UNLIMITED).like_clients(), part),
        (case(4, 2, 3, UNLIMITED).like_clients(), part),
        (case(4, 3, 4, UNLIMITED).like_clients().without_keep_alive(), part),
    ];
    let mut progress = Progress::new("steady callers", cases.iter().map(|(_, requests)| requests).sum());
    for (setup, requests) in cases {
        one(&setup, requests, report).await?;
        progress.step(requests);
    }
    Ok(())
}

async fn one(setup: &Setup, requests: u32, report: &mut Report) -> anyhow::Result<()> {
    let options = setup.origin();
    let rig = Rig::start(setup.workers, options, |hosts| setup.sketch("steady", hosts))?;
    let callers = Split::of(&setup.slots(), PLENTY).admitted();
    let calls = Calls::new(requests);
    let local = LocalSet::new();
    for caller in setup.speakers(&rig, callers) {
        local.spawn_local(call_on(caller, calls.clone()));
    }
    local.await;
    let (tally, count) = (calls.tally(), rig.origin.count());
    let mut wrong = Vec::new();
    if tally.refused > 0 || tally.failed > 0 {
        wrong.push(format!("{} refused, {} failed", tally.refused, tally.failed));
    }
    if count.peak_requests > setup.running_bound() {
        wrong.push(format!("{} requests at a time at the origin", count.peak_requests));
    }
    if count.peak_connections > setup.thresholds.max_connections {
        wrong.push(format!("{} connections at a time at the origin", count.peak_connections));
    }
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("afterwards {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    report.run(&Run { what: "steady", setup, callers, tally, count }, wrong);
    Ok(())
}
