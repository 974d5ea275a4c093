//! Callers that never exceed what is admitted, each with one request after the other: nobody is ever refused, whatever
//! connections close meanwhile.

use std::num::NonZeroU32;

use fuseboard_core::limit::UNLIMITED;
use fuseboard_testkit::{Rig, Split};

use super::Effort;
use super::calls::{Calls, make};
use super::report::{Progress, Report, Run};
use super::setup::Speakers::{Http1, Http2, Mixed};
use super::setup::{PLENTY, Setup, limits};

/// As many callers as each cluster admits. What two make of limits of one for a long time is `million`'s.
pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let case = |workers, n, p, r| Setup::plain(effort.seed, workers, limits(n, p, r));
    let classic = |workers| case(workers, 1, 1, UNLIMITED).one_request();
    let (two, three) = (NonZeroU32::new(2), NonZeroU32::new(3));
    let cases = [
        classic(2).without_keep_alive(),
        classic(16),
        case(2, 1, 1, UNLIMITED),
        case(4, 2, 3, UNLIMITED).one_request().without_keep_alive(),
        case(8, 4, 1, 4).one_request(),
        case(16, 3, 2, UNLIMITED).without_keep_alive(),
        case(4, 3, 0, UNLIMITED),
        case(4, 4, 2, 3).one_request(),
        case(1, 1, 1, UNLIMITED).streams(two, Http2),
        case(4, 1, 1, UNLIMITED).streams(two, Mixed).without_keep_alive(),
        case(4, 2, 3, 6).streams(three, Mixed),
        case(1, 3, 0, UNLIMITED).streams(two, Http1),
        case(4, 3, 2, UNLIMITED).streams(NonZeroU32::new(1), Http2),
        case(4, 2, 4, UNLIMITED).one_request().streams(three, Mixed),
        case(4, 2, 4, 5).streams(three, Http2),
        case(4, 1, 0, UNLIMITED).streams(None, Mixed),
        case(1, 1, 1, UNLIMITED).streams(three, Http2).offering(1),
        case(4, 2, 3, UNLIMITED).streams(three, Http2).offering(1),
        case(4, 3, 0, UNLIMITED).streams(three, Mixed).offering(2),
        case(4, 2, 4, UNLIMITED).streams(None, Http2).offering(2).without_keep_alive(),
        case(1, 1, 4, UNLIMITED).like_clients(),
        case(4, 2, 3, UNLIMITED).like_clients(),
        case(4, 3, 4, UNLIMITED).like_clients().without_keep_alive(),
    ];
    let mut progress = Progress::new("steady callers", effort.requests * u32::try_from(cases.len())?);
    for setup in cases {
        one("steady", &setup, effort.requests, &mut progress, report).await?;
    }
    Ok(())
}

pub(super) async fn one(
    what: &'static str,
    setup: &Setup,
    requests: u32,
    progress: &mut Progress,
    report: &mut Report,
) -> anyhow::Result<()> {
    let options = setup.origin();
    let rig = Rig::start(setup.workers, options, |hosts| setup.sketch("steady", hosts))?;
    let callers = Split::of(&setup.slots(), PLENTY).admitted();
    let calls = Calls::new(requests);
    make(&calls, setup.speakers(&rig.door(), callers), progress).await;
    let (tally, count) = (calls.tally(), rig.origin.count());
    let mut wrong = Vec::new();
    if tally.refused > 0 || tally.failed > 0 {
        wrong.push(format!("{} refused, {} failed", tally.refused, tally.failed));
    }
    setup.look_at_peaks(&count, false, &mut wrong);
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("afterwards {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    report.run(&Run { what, setup, callers, tally, count }, wrong);
    Ok(())
}
