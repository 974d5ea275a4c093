//! The same rules, hosts and calls to a real Envoy and to Fuseboard, one scenario for each limit, detector, time-out, kind of message and
//! kind of failure. All that a client sees, what the log says and what is counted must be alike, or listed in docs/differences.md.

mod facts;
mod failures;
mod limits;
mod messages;
mod origin;
mod outliers;
mod player;
mod proxies;
mod scenario;
mod streams;
mod times;

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Workbench;
use super::table::Table;
use crate::peers;
use facts::{Comparison, Difference, Facts};
use origin::Origin;
use player::Player;
use proxies::Proxy;
use scenario::Scenario;

/// Scenarios are mostly waits; so many are played at a time.
const AT_A_TIME: usize = 6;

pub(super) fn run(bench: &Workbench, table: &mut Table) -> anyhow::Result<()> {
    let program = match peers::envoy() {
        Ok(program) => program,
        Err(missing) => {
            table.skip("scenarios", missing);
            return Ok(());
        }
    };
    let scenarios: Arc<Vec<Scenario>> = Arc::new(all());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (theirs, ours) = runtime.block_on(async {
        let (their_hosts, our_hosts) = (hosts(&scenarios).await, hosts(&scenarios).await);
        let envoy = Proxy::envoy(bench, &program, &scenarios, &their_hosts)?;
        let fuseboard = Proxy::fuseboard(bench, &scenarios, &our_hosts)?;
        let (theirs, ours) =
            tokio::join!(play(&scenarios, envoy, their_hosts), play(&scenarios, fuseboard, our_hosts));
        anyhow::Ok((theirs?, ours?))
    })?;
    for ((scenario, theirs), ours) in scenarios.iter().zip(&theirs).zip(&ours) {
        enter(scenario, theirs, ours, table);
    }
    Ok(())
}

fn all() -> Vec<Scenario> {
    [limits::ALL, outliers::ALL, times::ALL, failures::ALL, messages::ALL, streams::ALL].concat()
}

async fn hosts(scenarios: &[Scenario]) -> Vec<Origin> {
    let mut origins = Vec::new();
    for scenario in scenarios {
        origins.push(Origin::start(scenario.hosts).await);
    }
    origins
}

/// All scenarios through one proxy, which ends then: its log belongs to the facts.
async fn play(
    scenarios: &Arc<Vec<Scenario>>,
    proxy: Proxy,
    hosts: Vec<Origin>,
) -> anyhow::Result<Vec<Facts>> {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut playing = JoinSet::new();
    for (number, origin) in hosts.into_iter().enumerate() {
        let (scenarios, places) = (Arc::clone(scenarios), Arc::clone(&places));
        let (listener, admin) = (proxy.listeners[number], proxy.admin);
        playing.spawn(async move {
            let _place = places.acquire().await;
            let facts = Player::new(&scenarios[number], listener, admin, &origin).play().await;
            (number, facts, origin)
        });
    }
    let mut played = playing.join_all().await;
    played.sort_by_key(|(number, ..)| *number);
    let listeners = proxy.listeners.clone();
    let log = tokio::task::spawn_blocking(|| proxy.end()).await?.context("ending a proxy")?;
    Ok(played
        .into_iter()
        .map(|(number, mut facts, _)| {
            facts.add_log(&log, listeners[number]);
            facts
        })
        .collect())
}

/// One row of the table for a scenario, and one for each difference that it should not have.
fn enter(scenario: &Scenario, theirs: &Facts, ours: &Facts, table: &mut Table) {
    let what = format!("scenario {}", scenario.name);
    let Comparison { wrong, listed, idle } = facts::compare(scenario, theirs, ours);
    let alike = format!("{} facts", theirs.len() - listed.len().min(theirs.len()));
    if let Some((row, _)) = listed.first() {
        let differ: Vec<String> = listed.iter().map(|(row, it)| format!("{} ({row})", it.fact)).collect();
        table.ours(&what, &alike, format!("but for {}", differ.join(", ")), true, row);
    } else {
        table.same(&what, &alike, &alike);
    }
    for Difference { fact, theirs, ours } in wrong {
        table.same(format!("{what}: {fact}"), theirs, ours);
    }
    for begin in idle {
        table.same(format!("{what}: {begin} is said to differ"), "differs", "same");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_name_services() {
        let mut names: Vec<&str> = all().iter().map(|scenario| scenario.name).collect();
        let good = |name: &&str| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte.is_ascii_digit())
        };
        assert!(names.iter().all(good), "{names:?}");
        names.sort_unstable();
        // Stats are asked for by a part of the name.
        for (at, name) in names.iter().enumerate() {
            assert!(!names[at + 1..].contains(name), "{name}");
        }
    }
}
