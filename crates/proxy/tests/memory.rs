//! What a cluster without traffic and a client without a request cost: the bytes that are asked of the allocator and not given back. What the
//! allocator itself keeps back differs from run to run. Each alone in its process for its time, so that nothing else moves the count.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use fuseboard_admin::AdminClient;
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::{ProxyOptions, start};
use fuseboard_snapshot::{Cluster, Domain, EndpointId, RouteConfig, Snapshot};
use fuseboard_testkit::ClusterSketch;
use fuseboard_testkit::http2::frames::{END_STREAM, Frame, PREFACE};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Who counts, counts alone.
static COUNTING: Mutex<()> = Mutex::new(());

/// Bytes that the process holds on its heap.
fn held() -> usize {
    dhat::HeapStats::get().curr_bytes
}

/// Lets every worker see what runs: an idle one looks when its next request comes.
fn all_look(connections: &mut [TcpStream]) {
    for connection in connections {
        connection.write_all(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            connection.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 404 "), "{}", String::from_utf8_lossy(&answer));
    }
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
    let mut table = RouteConfig::clone(&template.routes[0]);
    table.virtual_hosts[0].domains = vec![Domain::Exact("somebody".into())];
    Snapshot { clusters: all.collect(), routes: vec![Arc::new(table)], ..template.clone() }
}

/// What the set says of a destination that nobody called: whether a limit is reached, what was admitted, what was refused and why, what is in
/// flight, what waits, and which hosts are out.
const ALWAYS_ON: [&str; 10] = [
    "envoy_cluster_circuit_breakers_default_cx_open",
    "envoy_cluster_circuit_breakers_default_rq_pending_open",
    "envoy_cluster_circuit_breakers_default_rq_open",
    "envoy_cluster_circuit_breakers_default_rq_retry_open",
    "envoy_cluster_upstream_rq_total",
    "envoy_cluster_upstream_rq_pending_overflow",
    "envoy_cluster_upstream_rq_active",
    "envoy_cluster_upstream_rq_pending_active",
    "envoy_cluster_outlier_detection_ejections_active",
    "envoy_cluster_outlier_detection_ejections_enforced_total",
];

/// The bound of the connection limit and its fellows, beside the set.
const LIMITS: [&str; 4] = ["connections", "queue", "requests", "retries"];

#[test]
fn p16_a_thousand_destinations_are_in_the_first_scrape_and_cost_5_mib_at_16_workers() {
    const MANY: u16 = 2_000;
    const WORKERS: usize = 16;
    const BUDGET: usize = 5 * 1024;
    let _alone = COUNTING.lock();
    let _counting = dhat::Profiler::builder().testing().build();
    let admin = Some("127.0.0.1:0".parse().unwrap());
    let options = ProxyOptions { concurrency: WORKERS, admin, ..ProxyOptions::default() };
    let proxy = start(options, Arc::new(snapshot_with(1))).unwrap();
    let address = proxy.listeners()[0].address;
    // Each goes to the worker with the fewest.
    let mut connections: Vec<_> = (0..WORKERS).map(|_| TcpStream::connect(address).unwrap()).collect();
    all_look(&mut connections);
    let before = held();
    proxy.apply(&Arc::new(snapshot_with(MANY))).unwrap();
    all_look(&mut connections);
    let each = (held() - before) / usize::from(MANY);
    println!("{each} bytes for each cluster at {WORKERS} workers, its configuration included");
    assert!(each <= BUDGET, "{each} bytes for each cluster");

    let client = AdminClient::new(proxy.admin_address().unwrap().clone());
    let scrape = client.get("/stats/prometheus?filter=service-01999").unwrap().text();
    let name = "cluster_name=\"outbound|80||service-01999.default.svc.cluster.local\"";
    let value = |series: &str| {
        let line = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(str::to_owned)
    };
    let zero = Some("0".to_owned());
    for family in ALWAYS_ON {
        assert_eq!(value(&format!("{family}{{{name}}}")), zero, "{family}");
    }
    for reason in
        RefusalReason::ALL.into_iter().filter(|reason| *reason != RefusalReason::LimitDownstreamConnections)
    {
        let series = format!("fuseboard_cluster_refused_total{{{name},reason=\"{}\"}}", reason.token());
        assert_eq!(value(&series), zero, "{series}");
    }
    for limit in LIMITS {
        assert!(value(&format!("fuseboard_cluster_limit_{limit}{{{name}}}")).is_some(), "{limit}");
    }
    let all = client.get("/stats").unwrap().text();
    assert!(all.lines().count() > 80 * usize::from(MANY));
    println!("{} bytes of text for each in a scrape", all.len() / usize::from(MANY));
    assert!(
        proxy.live().clusters.iter().all(|view| view.live.stats.iter().count() == 0),
        "looking makes nothing"
    );
}

/// A client of HTTP/2 that was answered once.
fn answered_by_http2(address: std::net::SocketAddr) -> TcpStream {
    let mut connection = TcpStream::connect(address).unwrap();
    let frames = [Frame::settings(&[]), Frame::get(1, "/")].map(|frame| frame.bytes()).concat();
    connection.write_all(&[PREFACE, &frames].concat()).unwrap();
    loop {
        let frame = Frame::read(&mut connection).unwrap();
        if frame.flags & END_STREAM != 0 && frame.stream == 1 {
            return connection;
        }
    }
}

/// Bytes for each of many clients that were answered once and say no more.
fn each_idle<C>(answered: impl Fn(std::net::SocketAddr) -> C) -> usize {
    const MANY: usize = 200;
    let _alone = COUNTING.lock();
    let _counting = dhat::Profiler::builder().testing().build();
    let options = ProxyOptions { concurrency: 1, ..ProxyOptions::default() };
    let proxy = start(options, Arc::new(snapshot_with(1))).unwrap();
    let address = proxy.listeners()[0].address;
    let _first: Vec<_> = (0..MANY).map(|_| answered(address)).collect();
    let before = held();
    let _more: Vec<_> = (0..MANY).map(|_| answered(address)).collect();
    (held() - before) / MANY
}

#[test]
fn an_idle_client_of_http1_costs_no_room_for_an_exchange() {
    const BUDGET: usize = 2 * 1024;
    let each = each_idle(|address| {
        let mut connections = [TcpStream::connect(address).unwrap()];
        all_look(&mut connections);
        connections
    });
    println!("{each} bytes for each client");
    assert!(each <= BUDGET, "{each} bytes for each client");
}

#[test]
fn an_idle_client_of_http2_costs_what_its_frames_do_and_no_room_for_an_exchange() {
    /// 28 KiB of these are the buffers that the `h2` crate makes for every connection.
    const BUDGET: usize = 36 * 1024;
    let each = each_idle(answered_by_http2);
    println!("{each} bytes for each client");
    assert!(each <= BUDGET, "{each} bytes for each client");
}
