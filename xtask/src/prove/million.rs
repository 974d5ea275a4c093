//! Two callers against limits of one, with a connection for each request, for a very long time: nobody is ever refused. Then the same two against a real
//! Envoy, which refuses some.

use std::path::Path;

use fuseboard_core::limit::UNLIMITED;
use fuseboard_testkit::{Origin, OriginOptions};

use super::Effort;
use super::calls::{Calls, make};
use super::envoy::{self, Envoy};
use super::report::{Progress, Report, Run};
use super::setup::{Setup, limits};
use super::steady;

const CALLERS: u32 = 2;

pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let setup = Setup::plain(effort.seed, 2, limits(1, 1, UNLIMITED)).one_request();
    let mut progress = Progress::new("two callers against limits of one", effort.million);
    steady::one("million", &setup, effort.million, &mut progress, report).await?;
    drop(progress);
    let Some(program) = envoy::program(report) else { return Ok(()) };
    // What becomes of it is no failure of ours.
    if let Err(error) = theirs(&program, &setup, effort.million, report).await {
        report.envoy(format!("not to its end: {error:#}"));
    }
    Ok(())
}

async fn theirs(program: &Path, setup: &Setup, requests: u32, report: &mut Report) -> anyhow::Result<()> {
    let origin = Origin::start(OriginOptions::default())?;
    origin.forget_peaks(Some(1));
    let envoy = Envoy::start(program, setup.workers, &[setup], origin.addresses())?;
    let calls = Calls::new(requests);
    let mut progress = Progress::new("the same through Envoy", requests);
    make(&calls, setup.speakers(&envoy.door, CALLERS), &mut progress).await;
    let (tally, count) = (calls.tally(), origin.count());
    report.run(&Run { what: "Envoy", setup, callers: CALLERS, tally, count }, Vec::new());
    Ok(())
}
