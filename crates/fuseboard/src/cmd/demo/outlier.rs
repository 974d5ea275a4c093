//! One of two replicas fails: it is ejected, traffic moves to the other, it returns, fails again, and stays out longer.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use fuseboard_admin::ejections::Ejection;

use super::expect::Expectations;
use super::screen::{self, Screen};
use super::stage::Stage;
use crate::exit::Failure;

const PATH: &str = "/get";
/// Errors in a row that eject, as the rule says.
const ERRORS: u64 = 3;
/// How often the admin server is asked while waiting.
const LOOK: Duration = Duration::from_millis(50);
/// Nothing in this walk takes longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The walk with its clock.
struct Walk<'a> {
    stage: &'a Stage,
    screen: Screen,
    began: Instant,
}

pub(super) fn walk(stage: &Stage, screen: Screen, expectations: &mut Expectations) -> Result<(), Failure> {
    let walk = Walk { stage, screen, began: now() };
    let good = walk.calls("20, both healthy")?;
    expectations.equal("both healthy: errors", 0, good.errors);
    expectations.within("both healthy: share of the second replica", 8..=12, good.answered[1]);

    let sick = &stage.replicas[1];
    sick.control.fail_all(true);
    walk.moment("FAIL", format!("{} answers every call with 500 from now on", sick.name));
    let first = walk.until_ejected(expectations, 1)?;
    let moved = walk.calls("20 while it is out")?;
    expectations.equal("while ejected: errors", 0, moved.errors);
    expectations.equal("while ejected: calls at the failing replica", 0, moved.answered[1]);

    let first_lasted = walk.until_returned(&first)?;
    let second = walk.until_ejected(expectations, 2)?;
    expectations.equal("the second ejection is counted as the second", 2, u64::from(second.number));
    sick.control.fail_all(false);
    walk.moment("MEND", format!("{} is healthy again, but it is still out", sick.name));
    let second_lasted = walk.until_returned(&second)?;
    expectations.within("first ejection, seconds", 2..=4, rounded(first_lasted));
    expectations.within("second ejection, seconds", 4..=7, rounded(second_lasted));

    let after = walk.calls("20, both healthy again")?;
    expectations.equal("at the end: errors", 0, after.errors);
    expectations.within("at the end: share of the returned replica", 8..=12, after.answered[1]);
    expectations.equal(
        "ejections_enforced_total",
        2,
        stage.stat("outlier_detection.ejections_enforced_total")?,
    );
    expectations.equal("ejections_active at the end", 0, stage.stat("outlier_detection.ejections_active")?);
    screen::heading("What happened");
    screen::line(format_args!(
        "{ERRORS} errors in a row took {} out; after that no caller met it.",
        sick.name
    ));
    screen::line("The n-th ejection in a row lasts n times baseEjectionTime, and ends at the");
    screen::line("next sweep (interval).");
    Ok(())
}

/// What became of some calls.
struct Answered {
    errors: u64,
    /// Calls that reached each replica.
    answered: Vec<u64>,
}

impl Walk<'_> {
    fn calls(&self, what: &str) -> Result<Answered, Failure> {
        let before = self.totals();
        let calls = self.stage.call(1, 20, PATH)?;
        let answered: Vec<u64> =
            self.totals().iter().zip(before).map(|(after, before)| after - before).collect();
        let shares: Vec<String> = self
            .stage
            .replicas
            .iter()
            .zip(&answered)
            .map(|(replica, count)| format!("{} {count:>2}", replica.name))
            .collect();
        let errors = calls.total - calls.of(200);
        self.moment("CALLS", format!("{what:<24}{}  {errors} errors", shares.join("  ")));
        Ok(Answered { errors, answered })
    }

    /// Calls until the failing replica is out; the callers see exactly as many errors as the rule says.
    fn until_ejected(&self, expectations: &mut Expectations, number: u32) -> Result<Ejection, Failure> {
        let mut errors = 0;
        let ejection = until("an ejection", || {
            let calls = self.stage.call(1, 1, PATH)?;
            errors += calls.total - calls.of(200);
            self.ejection()
        })?;
        expectations.equal(format!("ejection {number}: errors that callers saw before it"), ERRORS, errors);
        let lasts = Duration::from_millis(ejection.since_ms + ejection.remaining_ms).as_secs_f64();
        self.moment(
            "EJECT",
            format!(
                "{} for {lasts:.0}s, no. {} in a row: {errors} errors, {}",
                self.name_of(&ejection.host),
                ejection.number,
                ejection.detector
            ),
        );
        Ok(ejection)
    }

    /// Waits for the replica; says how long it was out.
    fn until_returned(&self, ejection: &Ejection) -> Result<Duration, Failure> {
        let mut out = Duration::from_millis(ejection.since_ms);
        let began = now().checked_sub(out).unwrap_or_else(now);
        until("the return", || {
            self.stage.check_going()?;
            let Some(still) = self.ejection()? else { return Ok(Some(())) };
            self.screen.waiting(format_args!(
                "{} back in {:.1}s",
                still.host,
                still.remaining_ms as f64 / 1e3
            ));
            thread::sleep(LOOK);
            Ok(None)
        })?;
        self.screen.waited();
        out = began.elapsed();
        self.moment("RETURN", format!("{} after {:.1}s", self.name_of(&ejection.host), out.as_secs_f64()));
        Ok(out)
    }

    /// The replica that is out now, if one is.
    fn ejection(&self) -> Result<Option<Ejection>, Failure> {
        Ok(self.stage.ejections()?.ejections.into_iter().next())
    }

    /// The replica behind an address.
    fn name_of(&self, host: &str) -> &'static str {
        let replica = self.stage.replicas.iter().find(|replica| replica.address.to_string() == host);
        replica.map_or("an unknown host", |replica| replica.name)
    }

    fn totals(&self) -> Vec<u64> {
        self.stage.replicas.iter().map(|replica| replica.control.counts().requests.total).collect()
    }

    fn moment(&self, kind: &str, text: impl Display) {
        screen::moment(self.began.elapsed(), kind, text);
    }
}

fn now() -> Instant {
    Instant::now()
}

fn rounded(duration: Duration) -> u64 {
    duration.as_secs()
}

/// Looks again and again until something is found.
fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    let deadline = now() + PATIENCE;
    while now() < deadline {
        if let Some(found) = look()? {
            return Ok(found);
        }
    }
    Err(anyhow!("{what} did not come within {} s", PATIENCE.as_secs()).into())
}
