//! Istio's standard metrics: every request counted once, with Istio's labels, under no more series than are allowed. That each way
//! to fail has its flag and reason there is tested where each is provoked (`flags`).

use std::sync::Arc;
use std::time::Duration;

use fuseboard_proxy::{ProxyOptions, Source};
use fuseboard_snapshot::Domain;
use fuseboard_stats::KEYS;
use fuseboard_testkit::{Behaviour, RefusingPort, Reply, Script, Upstream, settle};

use crate::rig::judge::held;
use crate::rig::series::Series;
use crate::rig::{Rig, WORKERS, limits, options};

const REQUESTS: &str = "istio_requests_total";
const OK: (&str, &str, &str) = ("200", "-", "");

/// The metrics once nothing is under way: a count may follow the answer's last byte.
async fn at_rest(rig: &Rig) -> Series {
    let over = || rig.numbers().get("http.downstream_rq_active") == 0;
    assert!(settle(Duration::from_secs(5), over).await, "the exchange never ended");
    rig.series()
}

/// Answers with the status that is the path.
fn any_status() -> Script {
    Script::by(|request| {
        let status = request.target.trim_start_matches('/').parse().unwrap();
        Behaviour::answer(&Reply::status(status).body("x"))
    })
}

#[tokio::test]
async fn callers_at_any_number_of_workers_are_counted_exactly() {
    const CALLS: u64 = 25;
    for workers in WORKERS {
        let upstream = Upstream::start(any_status()).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut callers = [rig.client().await, rig.client().await];
        for _ in 0..CALLS {
            for (caller, path) in callers.iter_mut().zip(["/200", "/503"]) {
                caller.get("a", path).await;
            }
        }
        let series = at_rest(&rig).await;
        let counted: Vec<_> =
            series.requests().into_iter().map(|((code, flags, _), n)| (code, flags, n)).collect();
        let expected = ["200", "503"].map(|code| (code.to_owned(), "-".to_owned(), CALLS));
        assert_eq!(counted, expected, "a 503 of the upstream has no flag");
        for histogram in
            ["istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"]
        {
            assert_eq!(series.of(&format!("{histogram}_count"), OK), CALLS, "{histogram}");
        }
    }
}

#[tokio::test]
async fn d28_labels_are_istios_in_istios_order_and_ours_behind_them() {
    let upstream = Upstream::start(Script::ok("")).await;
    let labels = [("app", "shop"), ("version", "v2")].map(|(name, value)| (name.into(), value.into()));
    let source = Source { namespace: "front".into(), labels: labels.into() };
    let options = ProxyOptions { source, ..options(1) };
    let rig = Rig::start_with(options, &[upstream.address()], |draft| {
        let service = &mut draft.cluster.service;
        (service.host, service.name) = ("cart.shop.svc.cluster.local".into(), "cart".into());
        service.namespace = "shop".into();
    });
    rig.client().await.get("a", "/").await;
    at_rest(&rig).await;
    let client = fuseboard_admin::AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    let page = client.get("/stats/prometheus?filter=istio_requests_total").unwrap().text();
    assert_eq!(
        page,
        "# TYPE istio_requests_total counter\n\
         istio_requests_total{reporter=\"source\",source_workload=\"unknown\",source_canonical_service=\"shop\",\
         source_canonical_revision=\"v2\",source_workload_namespace=\"front\",source_principal=\"unknown\",\
         source_app=\"shop\",source_version=\"v2\",source_cluster=\"unknown\",destination_workload=\"unknown\",\
         destination_workload_namespace=\"unknown\",destination_principal=\"unknown\",destination_app=\"unknown\",\
         destination_version=\"unknown\",destination_service=\"cart.shop.svc.cluster.local\",\
         destination_canonical_service=\"unknown\",destination_canonical_revision=\"latest\",\
         destination_service_name=\"cart\",destination_service_namespace=\"shop\",destination_cluster=\"unknown\",\
         request_protocol=\"http\",response_code=\"200\",grpc_response_status=\"\",response_flags=\"-\",\
         connection_security_policy=\"unknown\",cluster_name=\"rig\",fuseboard_refused=\"\"} 1\n"
    );
    let text = client.get("/stats?filter=istio").unwrap().text();
    assert_eq!(text, "", "names as long as all labels are not for texts");
}

#[tokio::test]
async fn p04_a_limits_refusal_is_told_from_an_upstreams_503() {
    for workers in WORKERS {
        let (gate, upstream) = held().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, u32::MAX);
        });
        let mut busy = rig.client().await;
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        for _ in 0..3 {
            assert_eq!(rig.client().await.get("a", "/").await.status, 503);
        }
        gate.open();
        assert_eq!(busy.response().await.status, 200);
        let series = at_rest(&rig).await;
        let refused = ("503", "UO", "limit.queue_full");
        assert_eq!((series.of(REQUESTS, refused), series.of(REQUESTS, OK)), (3, 1));
        assert_eq!(series.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_request_counts_once_however_often_it_is_tried() {
    for workers in WORKERS {
        let port = RefusingPort::bind();
        let rig = Rig::start(workers, &[port.address()], |draft| {
            draft.retries().base_interval = Duration::from_millis(1);
        });
        assert_eq!(rig.client().await.get("a", "/").await.status, 503);
        let series = at_rest(&rig).await;
        let ended = ("503".to_owned(), "URX,UF".to_owned(), String::new());
        assert_eq!(series.requests(), [(ended, 1)].into());
    }
}

#[tokio::test]
async fn sizes_are_those_on_the_callers_connection() {
    let upstream = Upstream::start(Script::ok("0123456789")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    let mut client = rig.client().await;
    let first = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let second = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("{first}{second}")).await;
    client.response().await;
    client.response().await;
    let series = at_rest(&rig).await;
    assert_eq!(series.of("istio_request_bytes_sum", OK), (first.len() + second.len()) as u64);
    let sent = rig.numbers().get("http.downstream_cx_tx_bytes_total");
    assert_eq!(series.of("istio_response_bytes_sum", OK), sent);
}

#[tokio::test]
async fn d28_what_callers_and_upstreams_invent_makes_no_more_series_than_are_allowed() {
    for workers in WORKERS {
        let upstream = Upstream::start(any_status()).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let beyond = 7;
        let mut clients = [rig.client().await, rig.client().await];
        for n in 0..KEYS as u64 + beyond {
            let client = &mut clients[usize::try_from(n % 2).unwrap()];
            client.get(&format!("host-{n}"), &format!("/{}", 200 + n + n / 4)).await;
        }
        let series = at_rest(&rig).await;
        let requests = series.requests();
        assert_eq!(requests.len(), KEYS + 1);
        assert_eq!(series.of(REQUESTS, ("other", "other", "other")), beyond);
        assert_eq!(requests.values().sum::<u64>(), KEYS as u64 + beyond, "nothing is lost");
        assert_eq!(rig.numbers().get("fuseboard.request_series_overflow_total"), beyond);
        let hosts =
            |name| series.samples(REQUESTS).map(|sample| sample.labels[name].clone()).collect::<Vec<_>>();
        assert!(hosts("destination_service").iter().all(|host| !host.starts_with("host-")));
    }
}

#[tokio::test]
async fn d28_a_host_without_route_and_a_malformed_request_count_for_an_unknown_destination() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.domains = vec![Domain::Exact("b".into())];
        });
        for host in ["x", "y", "z"] {
            assert_eq!(rig.client().await.get(host, "/").await.status, 404);
        }
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n").await;
        assert_eq!(client.response().await.status, 400);
        let series = at_rest(&rig).await;
        assert_eq!((series.of(REQUESTS, ("404", "NR", "")), series.of(REQUESTS, ("400", "DPE", ""))), (3, 1));
        for sample in series.samples(REQUESTS) {
            assert_eq!(sample.labels["destination_service"], "unknown");
            assert_eq!(sample.labels["cluster_name"], "");
        }
    }
}

#[tokio::test]
async fn series_stay_through_new_rules_and_go_with_their_cluster() {
    let upstream = Upstream::start(Script::ok("")).await;
    let mut rig = Rig::start(1, &[upstream.address()], |_| {});
    rig.client().await.get("a", "/").await;
    rig.apply(|draft| draft.cluster.thresholds.default = limits(1, 1, 1));
    rig.client().await.get("a", "/").await;
    assert_eq!(at_rest(&rig).await.of(REQUESTS, OK), 2);
    rig.apply(|draft| draft.cluster.name = Arc::from("another"));
    assert_eq!(at_rest(&rig).await.requests().len(), 0);
}

#[tokio::test]
async fn a_reset_shows_counters_from_0_on() {
    let upstream = Upstream::start(Script::ok("")).await;
    let rig = Rig::start(1, &[upstream.address()], |_| {});
    rig.client().await.get("a", "/").await;
    at_rest(&rig).await;
    let client = fuseboard_admin::AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    client.post("/reset_counters").unwrap();
    assert_eq!(rig.series().of(REQUESTS, OK), 0);
    rig.client().await.get("a", "/").await;
    assert_eq!(at_rest(&rig).await.of(REQUESTS, OK), 1);
}
