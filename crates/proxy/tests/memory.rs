//! What a cluster without traffic costs. Alone in its process, so that nothing else moves what the process holds.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::sync::Arc;

use fuseboard_admin::AdminClient;
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_proxy::{ProxyOptions, start};
use fuseboard_snapshot::{Cluster, EndpointId, Snapshot};
use fuseboard_testkit::ClusterSketch;

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// A snapshot with `clusters` clusters of one host each, all with outlier detection.
fn snapshot_with(clusters: u16) -> Snapshot {
    let sketch = ClusterSketch::new("template", &["127.0.0.1:9".parse().unwrap()]);
    let template = sketch.snapshot(1).unwrap();
    let all = (0..clusters).map(|n| {
        let name = format!("outbound|80||service-{n:05}.default.svc.cluster.local");
        let mut cluster = Cluster::clone(&template.clusters[0]);
        cluster.stat_name = Arc::from(format!("{name};"));
        cluster.name = Arc::from(name);
        cluster.outlier = Some(OutlierPolicy::default());
        for endpoint in &mut cluster.endpoints {
            endpoint.id = EndpointId::new(&n.to_string(), endpoint.address);
        }
        Arc::new(cluster)
    });
    Snapshot { clusters: all.collect(), ..template.clone() }
}

#[test]
fn p16_a_cluster_without_traffic_costs_a_real_proxy_at_most_15_kib_and_shows_zeros() {
    const MANY: u16 = 2_000;
    const WORKERS: usize = 4;
    let admin = Some("127.0.0.1:0".parse().unwrap());
    let options = ProxyOptions { concurrency: WORKERS, admin, ..ProxyOptions::default() };
    let proxy = start(options, Arc::new(snapshot_with(1))).unwrap();
    let before = resident();
    proxy.apply(&Arc::new(snapshot_with(MANY))).unwrap();
    let each = (resident() - before) / u64::from(MANY);
    println!("{each} bytes for each cluster at {WORKERS} workers, its configuration included");
    assert!(each <= 15 * 1024, "{each} bytes for each cluster");

    let client = AdminClient::new(proxy.admin_address().unwrap().clone());
    let stats = client.get("/stats?filter=service-01999").unwrap().text();
    for zero in [
        "upstream_rq_pending_overflow",
        "circuit_breakers.default.cx_open",
        "outlier_detection.ejections_active",
    ] {
        assert!(stats.contains(&format!(".{zero}: 0\n")), "{zero}");
    }
    let all = client.get("/stats").unwrap().text();
    assert!(all.lines().count() > 80 * usize::from(MANY));
}
