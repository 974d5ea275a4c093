//! Stats of a real proxy under traffic, read through its admin server.

#![allow(clippy::unwrap_used, clippy::panic)] // how a test fails

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuseboard_admin::AdminClient;
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_proxy::{Proxy, ProxyOptions, start};
use fuseboard_snapshot::Snapshot;
use fuseboard_testkit::{Caller, ClusterSketch, Origin, OriginOptions, exposition};

const CLUSTER: &str = "outbound|80||origin.test";
const DEADLINE: Duration = Duration::from_secs(20);

/// One connection, one waiting.
const ONE_AND_ONE: Thresholds = Thresholds {
    max_connections: 1,
    max_pending_requests: 1,
    max_requests: UNLIMITED,
    max_retries: UNLIMITED,
};

fn run(snapshot: Snapshot, workers: usize) -> Proxy {
    let admin = Some("127.0.0.1:0".parse().unwrap());
    start(ProxyOptions { concurrency: workers, admin, ..ProxyOptions::default() }, Arc::new(snapshot))
        .unwrap()
}

fn proxy_to(origin: &Origin, thresholds: Thresholds, workers: usize) -> Proxy {
    let sketch = ClusterSketch { thresholds, ..ClusterSketch::new(CLUSTER, origin.addresses()) };
    run(sketch.snapshot(1).unwrap(), workers)
}

fn client(proxy: &Proxy) -> AdminClient {
    AdminClient::new(proxy.admin_address().unwrap().clone()).with_timeout(DEADLINE)
}

fn listener(proxy: &Proxy) -> SocketAddr {
    proxy.listeners()[0].address
}

/// Counters and gauges, with `main` for the listener's address and `c` for the cluster.
fn numbers(proxy: &Proxy) -> BTreeMap<String, u64> {
    let address = listener(proxy).to_string().replace(':', "_");
    let text = client(proxy).get("/stats").unwrap().text();
    let text = text.replace(&address, "main").replace(&format!("cluster.{CLUSTER};"), "c");
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

/// Reads until `wanted` holds.
fn wait(proxy: &Proxy, wanted: impl Fn(&BTreeMap<String, u64>) -> bool) -> BTreeMap<String, u64> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let numbers = numbers(proxy);
        if wanted(&numbers) {
            return numbers;
        }
        assert!(Instant::now() < deadline, "{numbers:#?}");
    }
}

fn tokio<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn everything_that_happened_was_counted_once_at_any_number_of_workers() {
    const CALLERS: u64 = 4;
    const CALLS: u64 = 25;
    for workers in [1, 4] {
        let origin = Origin::start(OriginOptions::default()).unwrap();
        let proxy = proxy_to(&origin, Thresholds::UNLIMITED, workers);
        tokio(async {
            let mut callers: Vec<Caller> =
                (0..CALLERS).map(|_| Caller::new(listener(&proxy), true)).collect();
            for call in 0..CALLS {
                for caller in &mut callers {
                    let target = if call == 0 { "/?status=503" } else { "/" };
                    caller.send(target).await.unwrap();
                }
                for caller in &mut callers {
                    caller.receive().await.unwrap();
                }
            }
        });
        let (failed, all) = (CALLERS, CALLERS * CALLS);
        // the callers have hung up; closing is noticed a moment later
        let numbers = wait(&proxy, |numbers| numbers["http.outbound_main;.downstream_cx_active"] == 0);
        for (name, value) in [
            ("c.upstream_rq_total", all),
            ("c.upstream_rq_completed", all),
            ("c.upstream_rq_200", all - failed),
            ("c.upstream_rq_2xx", all - failed),
            ("c.upstream_rq_503", failed),
            ("c.upstream_rq_5xx", failed),
            ("c.external.upstream_rq_503", failed),
            ("c.upstream_rq_active", 0),
            ("c.upstream_rq_pending_total", 0),
            ("c.upstream_cx_overflow", 0),
            ("http.outbound_main;.downstream_rq_total", all),
            ("http.outbound_main;.downstream_rq_completed", all),
            ("http.outbound_main;.downstream_rq_2xx", all - failed),
            ("http.outbound_main;.downstream_rq_5xx", failed),
            ("http.outbound_main;.downstream_rq_active", 0),
            ("http.outbound_main;.downstream_cx_total", CALLERS),
            ("http.outbound_main;.downstream_cx_destroy", CALLERS),
            ("http.outbound_main;.downstream_cx_destroy_remote", CALLERS),
            ("listener.main.downstream_cx_total", CALLERS),
            ("listener.main.downstream_cx_active", 0),
            ("server.total_connections", 0),
            ("server.concurrency", workers as u64),
        ] {
            assert_eq!(numbers.get(name).copied(), Some(value), "{name} with {workers} workers");
        }
        assert_eq!(numbers["c.upstream_cx_total"], numbers["c.upstream_cx_active"], "none was closed");
        let json =
            client(&proxy).get("/stats?format=json&filter=upstream_rq_time&histogram_buckets=cumulative");
        assert!(
            json.unwrap().text().ends_with(&format!(
                "{{\"upper_bound\":3600000,\"interval\":0,\"cumulative\":{all}}}]}}]}}]}}"
            ))
        );
        exposition::parse(&client(&proxy).get("/stats/prometheus").unwrap().text()).unwrap();
    }
}

#[test]
fn p01_d11_a_refusal_says_the_same_in_gauges_counters_labels_and_records() {
    for workers in [1, 4] {
        let origin = Origin::start(OriginOptions::default()).unwrap();
        origin.hold();
        let proxy = proxy_to(&origin, ONE_AND_ONE, workers);
        tokio(async {
            let mut callers: Vec<Caller> = (0..3).map(|_| Caller::new(listener(&proxy), true)).collect();
            callers[0].send("/").await.unwrap();
            wait(&proxy, |numbers| numbers["c.upstream_rq_active"] == 1);
            callers[1].send("/").await.unwrap();
            let full = wait(&proxy, |numbers| numbers["c.upstream_rq_pending_active"] == 1);
            for (gauge, value) in [
                ("default.cx_open", 1),
                ("default.rq_pending_open", 1),
                ("default.rq_open", 0),
                ("default.rq_retry_open", 0),
                ("default.remaining_cx", 0),
                ("default.remaining_pending", 0),
                ("high.cx_open", 0),
                ("high.rq_pending_open", 0),
            ] {
                assert_eq!(full[&format!("c.circuit_breakers.{gauge}")], value, "{gauge}");
            }
            assert_eq!(callers[2].get("/").await.unwrap().status, 503);
            origin.open();
            for caller in &mut callers[..2] {
                assert_eq!(caller.receive().await.unwrap().status, 200);
            }
        });
        let numbers = wait(&proxy, |numbers| numbers["c.upstream_rq_completed"] == 3);
        for (name, value) in [
            ("c.upstream_rq_pending_overflow", 1),
            ("c.upstream_rq_503", 1),
            ("c.upstream_rq_total", 2),
            ("c.upstream_rq_pending_total", 1),
            ("c.fuseboard.refused.limit.queue_full", 1),
            ("c.fuseboard.refused.limit.requests", 0),
            ("c.fuseboard.refused.no_healthy", 0),
            ("c.circuit_breakers.default.rq_pending_open", 0),
            // an idle connection uses the limit up, which is no fault
            ("c.circuit_breakers.default.cx_open", 1),
        ] {
            assert_eq!(numbers.get(name).copied(), Some(value), "{name} with {workers} workers");
        }
        let labels = client(&proxy).get("/stats/prometheus?filter=refused.limit.queue_full").unwrap().text();
        let series = format!(
            "fuseboard_cluster_refused_total{{cluster_name=\"{CLUSTER}\",reason=\"limit.queue_full\"}} 1\n"
        );
        assert!(labels.contains(&series), "{labels}");
        let records = client(&proxy).get("/fuseboard/v1/refusals").unwrap().text();
        let records: fuseboard_admin::refusals::Refusals = serde_json::from_str(&records).unwrap();
        let [record] = &records.refusals[..] else { panic!("{records:?}") };
        assert_eq!(
            (record.reason.as_str(), record.flag.as_str(), record.status),
            ("limit.queue_full", "UO", 503)
        );
        assert_eq!((record.bound, record.value, record.queue), (Some(1), Some(1), 1));
        assert_eq!(record.cluster.as_deref(), Some(CLUSTER));
    }
}
