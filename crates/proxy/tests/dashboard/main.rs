//! Everything that `deploy/grafana` names exists: each query of the dashboard and each alert selects series of a real scrape, by labels
//! that these have; legends and annotations use labels that the result has; what alerts refer to is there.

#![allow(clippy::unwrap_used, clippy::panic)] // how a test fails

mod promql;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuseboard_admin::AdminClient;
use fuseboard_core::limit::Thresholds;
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_proxy::{ProxyOptions, start};
use fuseboard_snapshot::{Cluster, Snapshot};
use fuseboard_testkit::{Caller, ClusterSketch, Origin, OriginOptions, dashboard, exposition};
use promql::{Scrape, labels_of_result};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("deploy/grafana").join(name)).unwrap()
}

fn dashboard_file() -> Value {
    serde_json::from_str(&read("fuseboard-circuit-breaking.json")).unwrap()
}

fn alerts() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read("fuseboard-alerts.yaml")).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// A scrape of a proxy that served calls, good ones and bad ones, to a cluster with outlier detection.
fn scrape() -> Scrape {
    let origin = Origin::start(OriginOptions::default()).unwrap();
    let sketch = ClusterSketch {
        thresholds: Thresholds::UNLIMITED,
        ..ClusterSketch::new("outbound|80||origin.test", origin.addresses())
    };
    let plain = sketch.snapshot(1).unwrap();
    let cluster = Cluster { outlier: Some(OutlierPolicy::default()), ..(*plain.clusters[0]).clone() };
    let snapshot = Snapshot { clusters: vec![Arc::new(cluster)], ..plain };
    let admin = Some("127.0.0.1:0".parse().unwrap());
    let proxy =
        start(ProxyOptions { concurrency: 2, admin, ..ProxyOptions::default() }, Arc::new(snapshot)).unwrap();
    let address = proxy.listeners()[0].address;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut caller = Caller::new(address, true);
        for target in ["/", "/?status=503"] {
            caller.send(target).await.unwrap();
            caller.receive().await.unwrap();
        }
    });
    let client = AdminClient::new(proxy.admin_address().unwrap().clone());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        // The last count may follow the answer.
        let page = client.get("/stats/prometheus").unwrap().text();
        if page.matches("\nistio_requests_total{").count() == 2 {
            return Scrape::new(exposition::parse(&page).unwrap());
        }
        assert!(Instant::now() < deadline, "{page}");
    }
}

/// The names between `{{` and `}}` that `pattern` begins.
fn placeholders<'a>(text: &'a str, pattern: &str) -> Vec<&'a str> {
    let inside =
        text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(inside, _)| inside.trim());
    inside.filter_map(|inside| inside.strip_prefix(pattern)).collect()
}

#[test]
fn every_query_of_the_dashboard_finds_series_and_labels_in_a_scrape() {
    let scrape = scrape();
    let dashboard = dashboard_file();
    let queries = dashboard::queries(&dashboard, "1m");
    assert!(queries.len() > 30, "{} queries", queries.len());
    for query in queries {
        let labels = labels_of_result(&query.expression, &scrape)
            .unwrap_or_else(|problem| panic!("{}: {problem}\n{}", query.panel, query.expression));
        for label in placeholders(&query.legend, "") {
            assert!(
                labels.contains(label),
                "{}: the legend names {label}, the result has {labels:?}",
                query.panel
            );
        }
    }
    let variables = dashboard::variables(&dashboard);
    assert_eq!(variables.len(), 2);
    for (selector, label) in variables {
        let labels = labels_of_result(&selector, &scrape).unwrap();
        assert!(labels.contains(&label), "{selector} has no {label}");
    }
}

#[test]
fn every_alert_finds_series_and_labels_in_a_scrape_and_says_what_to_do() {
    let scrape = scrape();
    let alerts = alerts();
    assert!(alerts.len() > 5);
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        let expression = alert["expr"].as_str().unwrap();
        let labels =
            labels_of_result(expression, &scrape).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        for annotation in ["summary", "action"] {
            let text = alert["annotations"][annotation]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: no {annotation}"));
            for label in placeholders(text, "$labels.") {
                assert!(
                    labels.contains(label),
                    "{name}: {annotation} names {label}, the result has {labels:?}"
                );
            }
        }
        let docs = alert["annotations"]["docs"].as_str().unwrap_or_else(|| panic!("{name}: no docs"));
        assert!(root().join(docs).is_file(), "{name}: no {docs}");
        assert!(["info", "warning", "critical"].contains(&alert["labels"]["severity"].as_str().unwrap()));
    }
}

#[test]
fn every_panel_says_what_it_shows_and_no_two_overlap() {
    let dashboard = dashboard_file();
    let mut taken = std::collections::BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        if panel["type"] != "row" {
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        }
        let number = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for y in number("y")..number("y") + number("h") {
            for x in number("x")..number("x") + number("w") {
                assert!(x < 24 && taken.insert((x, y)), "{title} covers another panel");
            }
        }
    }
}

#[test]
fn what_does_not_exist_is_found() {
    let scrape = scrape();
    for (expression, problem) in [
        ("rate(envoy_cluster_upstream_rq_retries[1m])", "no series envoy_cluster_upstream_rq_retries"),
        (
            "envoy_cluster_membership_total{cluster=\"a\"}",
            "envoy_cluster_membership_total has no label cluster",
        ),
        ("fuseboard_cluster_refused_total{reason=\"none\"}", "selects nothing"),
        ("sum by (reason) (rate(istio_requests_total[1m]))", "no label reason"),
        ("histogram_quantile(0.9, sum by (instance) (rate(istio_request_bytes_bucket[1m])))", "no label le"),
        ("envoy_server_uptime * on (cluster_name) envoy_cluster_membership_total", "no label cluster_name"),
        ("sum(rate(istio_requests_total[1m])", "unclosed"),
    ] {
        let found = labels_of_result(expression, &scrape).unwrap_err();
        assert!(found.contains(problem), "{expression}: {found}");
    }
}
