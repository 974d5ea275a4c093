//! Chaos: while configuration changes 20 times a second, hosts come, go, die and hang, workers stand still, descriptors run out and memory is short, each request gets
//! exactly one answer or one flagged error, none runs twice that may not, and afterwards nothing is left: no permit, no memory.

mod callers;
mod memory;
mod stall;
mod trouble;

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use fuseboard_core::Rng;
use fuseboard_core::limit::UNLIMITED;
use fuseboard_testkit::{ClusterSketch, OriginOptions, Rig, Split, burst, settle};
use tokio::task::LocalSet;

use callers::{Book, Tongue, call_on};
use memory::Bound;
use stall::Stall;

use super::report::{ChaosRow, Progress, Report};
use super::setup::{PLENTY, Setup, limits};
use super::{Effort, bursts};

const HOSTS: usize = 5;
const CALLERS: u32 = 36;

/// Answers take up to this long.
const DELAY: Duration = Duration::from_millis(2);

/// Not the address that connections come from: a port of a host that is gone can't be the source of a connection to itself.
const HOST_IP: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What may be kept for later use after the warm-up and was not before: the allocator's leftovers of 37 threads.
const TOLERANCE_KIB: u64 = 12 * 1024;

/// Numbers of workers, which share the time.
const WORKERS: [usize; 3] = [1, 4, 16];

/// A proxy in trouble.
struct Stage {
    rig: RefCell<Rig>,
    book: Rc<Book>,
    stall: Stall,
    did: Did,
}

/// What was done to it.
#[derive(Default)]
struct Did {
    pushes: Cell<u32>,
    kills: Cell<u32>,
    starved: Cell<u32>,
}

pub(super) async fn run(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let workers = match &effort.chaos_workers[..] {
        [] if effort.chaos < Duration::from_mins(1) => &WORKERS[1..2],
        [] => &WORKERS[..],
        wanted => wanted,
    };
    let each = effort.chaos / u32::try_from(workers.len())?;
    let stall = Stall::install()?;
    let mut progress = Progress::new("chaos", u32::try_from(workers.len())?);
    for workers in workers {
        one(*workers, each, effort.seed, &stall, report).await?;
        progress.step(1);
    }
    Ok(())
}

async fn one(
    workers: usize,
    time: Duration,
    seed: u64,
    stall: &Stall,
    report: &mut Report,
) -> anyhow::Result<()> {
    let options =
        OriginOptions { hosts: HOSTS, ip: HOST_IP, delay_below: DELAY, seed, ..OriginOptions::default() };
    let mut rig = Rig::start(workers, options, |hosts| ClusterSketch::new("chaos", hosts))?;
    rig.origin.note_runs();
    let setup = Setup::plain(seed, workers, limits(4, 4, UNLIMITED));
    let mut wrong = Vec::new();
    // The first fifth makes room for all that is kept for later use; it is judged as the rest is.
    let stalls = stall.stalls();
    let (warm, first) = trouble(rig, time / 5, seed, stall, report, &setup, &mut wrong).await?;
    rig = warm;
    let before = resident_kib()?;
    let memory = Bound::set()?;
    report.memory(memory.text());
    let (mut rig, second) = trouble(rig, time / 5 * 4, seed + 1, stall, report, &setup, &mut wrong).await?;
    let bound = before + TOLERANCE_KIB;
    if !settle(report.patience(), || resident_kib().is_ok_and(|now| now <= bound)).await {
        wrong.push(format!("{} KiB resident, {before} before", resident_kib()?));
    }
    memory.lift()?;
    let resident = (before, resident_kib()?);
    let resent = rig.counters().resent;
    if first.repeated + second.repeated > resent {
        let repeated = first.repeated + second.repeated;
        wrong.push(format!("{repeated} requests ran a second time, and {resent} were sent again"));
    }
    last_burst(&mut rig, &setup, report, &mut wrong).await?;
    let stalls = stall.stalls() - stalls;
    report.chaos(&setup, ChaosRow { workers, resent, stalls, resident, ..first + second }, wrong);
    Ok(())
}

/// Makes trouble for so long, and waits until nothing is left of it.
async fn trouble(
    rig: Rig,
    time: Duration,
    seed: u64,
    stall: &Stall,
    report: &Report,
    setup: &Setup,
    wrong: &mut Vec<String>,
) -> anyhow::Result<(Rig, ChaosRow)> {
    let book = Book::new(Instant::now() + time);
    let (stall, did) = (stall.clone(), Did::default());
    let stage = Rc::new(Stage { rig: RefCell::new(rig), book: Rc::clone(&book), stall, did });
    let mut rng = Rng::new(seed);
    let mut next = || Rng::new(rng.next_u64());
    let local = LocalSet::new();
    let tasks = [
        local.spawn_local(Rc::clone(&stage).push(next())),
        local.spawn_local(Rc::clone(&stage).kill(next())),
        local.spawn_local(Rc::clone(&stage).hang(next())),
        local.spawn_local(Rc::clone(&stage).stall(next())),
        local.spawn_local(Rc::clone(&stage).starve(next())),
    ];
    for number in 0..CALLERS {
        local.spawn_local(call_on(Rc::clone(&stage), Tongue::of(number), next()));
    }
    local.await;
    for task in tasks {
        task.await??;
    }
    let stage = Rc::into_inner(stage).context("somebody is still at work")?;
    let mut rig = stage.rig.into_inner();
    let calm = setup.sketch("chaos", rig.origin.addresses());
    rig.apply(calm)?;
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("afterwards {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    let mut docket = book.docket.take();
    docket.close(rig.origin.take_all_runs());
    let tally = book.tally();
    let found = docket.wrong.len();
    wrong.extend(docket.wrong.into_iter().take(5));
    if found > 5 {
        wrong.push(format!("and {} more requests", found - 5));
    }
    let row = ChaosRow {
        tally,
        broken: book.broken.get(),
        repeated: docket.repeated,
        pushes: stage.did.pushes.get(),
        kills: stage.did.kills.get(),
        starved: stage.did.starved.get(),
        ..ChaosRow::default()
    };
    Ok((rig, row))
}

/// Where a permit were lost, fewer would be let through.
async fn last_burst(
    rig: &mut Rig,
    setup: &Setup,
    report: &Report,
    wrong: &mut Vec<String>,
) -> anyhow::Result<()> {
    let expected = Split::of(&setup.slots(), PLENTY);
    let last = burst(rig, setup.speakers(&rig.door(), PLENTY), expected, report.patience()).await?;
    if last.held != expected || last.ok != expected.admitted() {
        wrong.push(format!("a burst of {PLENTY} afterwards: {:?}, not {expected:?}", last.held));
    }
    bursts::end(last.callers).await;
    if !rig.is_quiet(report.patience()).await {
        wrong.push(format!("after the burst {:?}, {:?}", rig.gauges(), rig.origin.count()));
    }
    Ok(())
}

/// This process's memory in use.
fn resident_kib() -> anyhow::Result<u64> {
    crate::process::resident_kib("self")
}
