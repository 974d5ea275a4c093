//! The classic experiment: one, two and three callers against one connection and one place in the queue.

use super::expect::Expectations;
use super::screen;
use super::stage::Stage;
use crate::exit::Failure;
use crate::output::{self, STRONG, styled};
use crate::refusal_table;

/// Each call takes long enough for the callers to meet.
const PATH: &str = "/delay/5ms";
/// The limit that refuses here.
const REASON: &str = "limit.queue_full";

pub(super) fn walk(stage: &Stage, expectations: &mut Expectations) -> Result<(), Failure> {
    let one = stage.call(1, 20, PATH)?;
    screen::step("1/3", "one caller", "-c 1 -n 20", &one, "one runs");
    let two = stage.call(2, 20, PATH)?;
    screen::step(
        "2/3",
        "two callers",
        "-c 2 -n 20",
        &two,
        "one runs, one waits; Envoy refuses 0.5 to 5 % here",
    );
    let before = stage.stat("upstream_rq_pending_overflow")?;
    let three = stage.call(3, 30, PATH)?;
    screen::step(
        "3/3",
        "three callers",
        "-c 3 -n 30",
        &three,
        "one runs, one waits, the third finds no place",
    );

    let refused = three.of(503);
    let overflow = stage.stat("upstream_rq_pending_overflow")?;
    expectations.equal("one caller: 200", 20, one.of(200));
    expectations.equal("two callers: 200", 20, two.of(200));
    expectations.equal("upstream_rq_pending_overflow after two callers", 0, before);
    expectations.within("three callers: 503", 1..=29, refused);
    expectations.equal("three callers: 200 and 503 together", 30, three.of(200) + refused);
    expectations.equal("upstream_rq_pending_overflow is the number of 503", refused, overflow);
    for stat in ["upstream_cx_active", "upstream_rq_active", "upstream_rq_pending_active"] {
        expectations.equal(format!("{stat} at the end"), 0, stage.stat(stat)?);
    }
    explain(stage, expectations, refused, overflow)
}

fn explain(
    stage: &Stage,
    expectations: &mut Expectations,
    refused: u64,
    overflow: u64,
) -> Result<(), Failure> {
    let lines = refusal_table::lines(&stage.refusals()?.refusals);
    let counted: u64 = lines.iter().filter(|line| line.reason == REASON).map(|line| line.count as u64).sum();
    expectations.equal(format!("refusals on record with reason {REASON}"), refused, counted);
    screen::heading(format_args!("Why {refused} calls got 503"));
    for row in refusal_table::table(&short(lines.clone(), stage)).lines() {
        screen::line(row);
    }
    let Some(line) = short(lines, stage).into_iter().next() else { return Ok(()) };
    output::out("");
    screen::line(
        "One connection carries one call, and one more may wait. The third caller found both taken, so the proxy",
    );
    screen::line("answered 503 at once and httpbin never saw the call.");
    screen::line(format_args!(
        "The limit:  {}, written in {} ({}).",
        line.limit,
        styled(STRONG, &line.place),
        line.rule.as_deref().unwrap_or("a default")
    ));
    screen::line(format_args!(
        "The count:  the proxy's own upstream_rq_pending_overflow says {overflow}, the callers saw {refused}."
    ));
    Ok(())
}

/// The lines with the rule's file without its folder, which the stage has shown already.
fn short(lines: Vec<refusal_table::Line>, stage: &Stage) -> Vec<refusal_table::Line> {
    let folder = stage.rule_file.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
    lines
        .into_iter()
        .map(|line| refusal_table::Line { place: line.place.replacen(&folder, "", 1), ..line })
        .collect()
}
