//! The classic experiment: one, two and three callers against one connection and one place in the queue.

use super::expect::Expectations;
use super::screen;
use super::stage::Stage;
use crate::exit::Failure;
use crate::explanation::{self, Explanation};

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
        "one runs, one waits; Envoy refuses 0.5 to 5 % of these",
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
    let explanations = explanation::explain(&stage.refusals()?.refusals);
    let of_limit: Vec<&Explanation> = explanations.iter().filter(|one| one.reason == REASON).collect();
    let counted = of_limit.iter().map(|one| one.count as u64).sum();
    expectations.equal(format!("refusals on record with reason {REASON}"), refused, counted);
    screen::heading(format_args!("Why {refused} calls got 503"));
    screen::line("One connection carries one call, and one more may wait. The third caller");
    screen::line("found both taken: the proxy answered 503 at once, and httpbin saw nothing.");
    for one in of_limit {
        let one = short(one.clone(), stage);
        screen::fact("limit", one.limit().unwrap_or_default());
        screen::fact("rule", one.whose());
        screen::fact("reason", format_args!("{}, response flag {}", one.reason, one.flag));
    }
    screen::fact(
        "count",
        format_args!("upstream_rq_pending_overflow says {overflow}, the callers saw {refused}"),
    );
    Ok(())
}

/// The place of the rule without its folder, which the stage has shown already.
fn short(one: Explanation, stage: &Stage) -> Explanation {
    let folder = stage.rule_file.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
    Explanation { place: one.place.map(|place| place.replacen(&folder, "", 1)), ..one }
}
