//! Every stat of a real Envoy, after the same traffic through both: it is ours too, of the same kind, or it is in the list of those that we
//! lack, with its reason (`crates/proxy/tests/stats_lacking.txt`, of which docs/stats.md is made). An entry of the list that we do have fails.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use fuseboard_admin::{AdminAddress, AdminClient};

use super::experiment::{Pair, Proxy};
use super::table::Table;
use crate::repository;

const LACKING: &str = "crates/proxy/tests/stats_lacking.txt";

pub(super) fn compare(pair: &Pair, table: &mut Table) -> anyhow::Result<()> {
    wait_for_flush(&pair.envoy)?;
    let (theirs, ours) = (kinds_by_name(&pair.envoy)?, kinds_by_name(&pair.ours)?);
    let lacking: BTreeSet<String> = lacking()?;
    let list = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(" ");
    let unexplained = theirs.keys().filter(|name| !ours.contains_key(*name) && !lacking.contains(*name));
    table.same("stats of Envoy that we lack without a reason", "", list(unexplained.collect()));
    let idle = lacking.iter().filter(|name| ours.contains_key(*name));
    table.same("reasons for stats that we do have", "", list(idle.collect()));
    let common: Vec<_> = theirs.iter().filter(|(name, _)| ours.contains_key(*name)).collect();
    let other: Vec<&String> =
        common.iter().filter(|(name, kind)| ours.get(*name) != Some(*kind)).map(|(name, _)| *name).collect();
    table.same("stats of another kind than Envoy's", "", list(other));
    let count = |names: &BTreeMap<String, String>| names.len();
    let enough = common.len() > 100;
    let (ours_count, their_count) = (format!("{} common", common.len()), count(&theirs));
    table.ours("stats by name", their_count, ours_count, enough, "docs/stats.md");

    let (theirs, ours) = (families(&pair.envoy)?, families(&pair.ours)?);
    let other: Vec<&String> = theirs
        .iter()
        .filter(|(family, kind)| ours.get(*family).is_some_and(|ours| ours != *kind))
        .map(|(family, _)| family)
        .collect();
    table.same("families of another type for Prometheus", "", list(other));
    Ok(())
}

/// Envoy shows histograms only once it has merged what its workers wrote.
fn wait_for_flush(envoy: &Proxy) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !get(envoy, "/stats?filter=httpbin.upstream_rq_time")?.contains("P50(") {
        ensure!(Instant::now() < deadline, "Envoy never merged its histograms");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// What the list names, reasons left out.
fn lacking() -> anyhow::Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(repository::root().join(LACKING))?;
    Ok(text.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect())
}

fn get(proxy: &Proxy, target: &str) -> anyhow::Result<String> {
    Ok(AdminClient::new(AdminAddress::Tcp(proxy.admin)).get(target)?.text())
}

/// The stats of cluster, listener, connection manager and server, with what differs from run to run taken out of their names.
fn kinds_by_name(proxy: &Proxy) -> anyhow::Result<BTreeMap<String, String>> {
    let mut kinds = BTreeMap::new();
    for kind in ["Counters", "Gauges", "Histograms"] {
        for line in get(proxy, &format!("/stats?type={kind}"))?.lines() {
            if let Some(name) = line.split_once(": ").and_then(|(name, _)| general(name)) {
                kinds.insert(name, kind.to_owned());
            }
        }
    }
    Ok(kinds)
}

/// `cluster.httpbin.x` as `cluster.<name>.x`; `None`: not a stat of what both have.
fn general(name: &str) -> Option<String> {
    // Names hold dots and colons of their own; each is known by what ends it.
    let tail = |prefix: &str, ends: &[&str]| {
        let rest = name.strip_prefix(prefix)?;
        ends.iter().find_map(|end| rest.split_once(end)).map(|(_, tail)| tail)
    };
    if let Some(tail) = tail("cluster.", &["local;.", "httpbin."]) {
        return Some(format!("cluster.<name>.{tail}"));
    }
    if let Some(tail) = tail("http.", &["outbound.", ";."]) {
        return Some(format!("http.<prefix>.{tail}"));
    }
    if let Some(rest) = name.strip_prefix("listener.127.0.0.1_") {
        let (_, tail) = rest.split_once('.')?;
        // One worker stands for all of them.
        let tail = tail.replace("http.outbound.", "http.<prefix>.");
        return (!tail.starts_with("worker_1.")).then(|| format!("listener.<address>.{tail}"));
    }
    let of_process = ["server.", "cluster_manager.", "listener_manager."];
    let one_worker = !name.starts_with("server.worker_1.");
    (one_worker && of_process.iter().any(|prefix| name.starts_with(prefix))).then(|| name.to_owned())
}

/// Families with their types, as the lines `# TYPE` say.
fn families(proxy: &Proxy) -> anyhow::Result<BTreeMap<String, String>> {
    let text = get(proxy, "/stats/prometheus")?;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    Ok(types.map(|(family, kind)| (family.to_owned(), kind.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_become_the_same() {
        let ours = "cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_total";
        assert_eq!(general(ours), general("cluster.httpbin.upstream_rq_total"));
        assert_eq!(general("http.outbound_127.0.0.1_9000;.rq_total"), general("http.outbound.rq_total"));
        assert_eq!(general("listener.127.0.0.1_9000.x").as_deref(), Some("listener.<address>.x"));
        assert_eq!(
            general("server.worker_0.watchdog_miss").as_deref(),
            Some("server.worker_0.watchdog_miss")
        );
        for none in ["http.admin.rq_total", "runtime.load_error", "listener.admin.x", "server.worker_1.x"] {
            assert_eq!(general(none), None, "{none}");
        }
    }
}
