//! A service begins to hang: the breaker opens though nothing has timed out, the cache and then a stand-in answer, and when the
//! service is back, so is the traffic: a probe, a part, all of it.

mod traffic;
mod watch;

use std::time::Duration;

use super::expect::Expectations;
use super::screen;
use super::stage::Stage;
use crate::exit::Failure;
use traffic::{Call, RATE, Source};
use watch::{Change, Watch};

/// The service is back so long after the breaker opened for the second time.
const HANGS_ON: Duration = Duration::from_millis(1_900);

/// What came of it.
struct Story {
    /// Every call of whole seconds.
    calls: Vec<Call>,
    /// The first call that hung.
    first_hung: usize,
    /// Calls that waited when the service came back.
    waited: usize,
    /// From the beginning of the hanging.
    opened_after: Duration,
    hung_for: Duration,
    /// By then.
    timed_out: u64,
    /// Calls that reached the service while the breaker was open or half-open and it hung.
    probes_while_hung: u64,
    times_opened: usize,
    /// The first call after closing, and the first after the ramp.
    ramp: (usize, usize),
}

pub(super) fn walk(stage: &Stage, expectations: &mut Expectations) -> Result<(), Failure> {
    let story = story(stage)?;
    judge(&story, expectations);
    for stat in ["fuseboard.breaker.opened", "fuseboard.breaker.closed"] {
        let expected = if stat.ends_with("opened") { 2 } else { 1 };
        expectations.equal(stat, expected, stage.stat(stat)?);
    }
    sum_up(&story);
    Ok(())
}

fn story(stage: &Stage) -> Result<Story, Failure> {
    let mut watch = Watch::begin(stage)?;
    watch.until("the first seconds", |watch| watch.seconds() == 2)?;
    let service = &stage.replicas[0].control;
    service.hang_all(true);
    let (hung_at, first_hung) = (watch.now(), watch.traffic.made());
    watch.moment("HANG", "httpbin takes calls and answers none from now on");

    watch.until("open", |watch| watch.times("open") == 1)?;
    let (opened_at, timed_out) = (watch.now(), stage.stat("upstream_rq_timeout")?);
    let reached = service.counts().requests.total;
    watch.until("open again", |watch| watch.times("open") == 2)?;
    let back_at = watch.now() + HANGS_ON;
    watch.until("the end of the hanging", |watch| watch.now() >= back_at)?;

    let probes_while_hung = service.counts().requests.total - reached;
    let made = watch.traffic.made();
    let waited = watch.traffic.calls(0..made).iter().filter(|call| call.answer.is_none()).count();
    let hung_for = watch.now().saturating_sub(hung_at);
    service.hang_all(false);
    watch.moment("MEND", format_args!("httpbin answers again; {waited} calls still wait for it"));
    watch.until("closed", |watch| watch.times("closed") == 1)?;
    let closed = watch.traffic.made();
    watch.until("the end of the ramp", |watch| watch.changes.last().is_some_and(Change::ends_ramp))?;
    let ramped = watch.traffic.made();
    let end = watch.seconds() + 2;
    watch.until("the last seconds", |watch| watch.seconds() == end)?;
    Ok(Story {
        calls: watch.traffic.calls(0..end * RATE),
        first_hung,
        waited,
        opened_after: opened_at.saturating_sub(hung_at),
        hung_for,
        timed_out,
        probes_while_hung,
        times_opened: watch.times("open"),
        ramp: (closed, ramped),
    })
}

fn judge(story: &Story, expectations: &mut Expectations) {
    let calls = story.calls.as_slice();
    let (closed, ramped) = story.ramp;
    let quarter = (ramped - closed) / 4;
    let share = |part: &[Call]| 100 * count(part, Source::Service) / part.len().max(1) as u64;
    let [first, third] = [0, 2].map(|number| share(&calls[closed + number * quarter..][..quarter]));
    let before = count(&calls[..story.first_hung], Source::Service);
    expectations.equal("healthy: calls that httpbin did not answer", 0, story.first_hung as u64 - before);
    expectations.within("milliseconds of hanging until it opened", 500..=2_000, millis(story.opened_after));
    expectations.equal("calls that had timed out by then", 0, story.timed_out);
    expectations.equal("probes while it hung", 1, story.probes_while_hung);
    expectations.within("calls that waited", 11..=30, story.waited as u64);
    expectations.within("answers from the cache", 10..=200, count(calls, Source::Cache));
    expectations.within("answers of the stand-in", 10..=200, count(calls, Source::StandIn));
    expectations.equal("calls without a good answer", 0, count(calls, Source::Nobody));
    expectations.within("percent of traffic, first quarter of the ramp", 5..=20, first);
    expectations.within("percent of traffic, third quarter of the ramp", 40..=60, third);
    expectations.equal("percent of traffic at the end", 100, share(&calls[calls.len() - RATE..]));
    expectations.equal("times that it opened", 2, story.times_opened as u64);
}

fn sum_up(story: &Story) {
    let calls = story.calls.as_slice();
    let answered = calls.iter().filter_map(|call| call.answer).map(|(_, took)| took);
    let slowest = answered.filter(|took| *took < Duration::from_secs(1)).max().unwrap_or_default();
    screen::heading("What happened");
    screen::line(format_args!(
        "httpbin hung for {:.1}s. {} calls waited for it: those before the breaker saw,",
        story.hung_for.as_secs_f64(),
        story.waited
    ));
    screen::line(format_args!(
        "{:.1}s after the first of them, that they were slow, and a probe. No call had",
        story.opened_after.as_secs_f64()
    ));
    screen::line("timed out, nor did any get an error: the last good answer was given to");
    screen::line(format_args!(
        "{}, that of stand-in to {}, to none of them later than after {} ms.",
        count(calls, Source::Cache),
        count(calls, Source::StandIn),
        millis(slowest)
    ));
}

fn count(calls: &[Call], source: Source) -> u64 {
    calls.iter().filter(|call| call.answer.is_some_and(|(by, _)| by == source)).count() as u64
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
