//! Pages that Envoy prints otherwise or does not have: the texts that somebody has looked at. `cargo xtask bless` rewrites
//! them.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod sample;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuseboard_admin::memory::{self, Memory};
use fuseboard_admin::proxy_config::{ClusterFilter, Dump};
use fuseboard_admin::status::{
    BreakerStatus, EjectionStatus, HistoryEvent, HistoryRecord, ProxyStatus, RefusalRecord,
};
use fuseboard_admin::{
    Page, Query, breakers, config_dump, ejections, endpoint, hosts, refusals, server_info,
};
use fuseboard_core::Instant;
use fuseboard_core::breaker::{BreakerPolicy, BreakerView, Cause, Mode, State, Tally, Transition};
use fuseboard_core::outlier::{DetectionKind, OutlierPolicy};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{
    BreakerScope, BreakerSetting, Cluster, ClusterBreaker, Http2Ping, Location, Origin, Provenance,
    ResourceRef, UpstreamHttp, UpstreamVersion,
};
use serde_json::{Value, json};

fn assert_golden(name: &str, page: &Page) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("FUSEBOARD_BLESS").is_some() {
        std::fs::write(&path, &page.body).unwrap();
    }
    assert_eq!(page.body, std::fs::read_to_string(&path).unwrap(), "{name}");
}

#[test]
fn config_dump_is_envoys_envelope_around_clusters_and_endpoints() {
    let mut status = sample::proxy();
    status.clusters.reverse();
    let page = config_dump::page(&status, &Query::parse("include_eds"));
    assert_golden("config_dump.json", &page);
    let dump: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(dump["configs"].as_array().unwrap().len(), 5, "what we do not have is absent");

    status.clusters[0].added_via_api = true;
    let page = config_dump::page(&status, &Query::parse("name_regex=httpbin"));
    let dump: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    let clusters = &dump["configs"][0];
    assert_eq!(clusters["dynamic_active_clusters"][0]["version_info"], "4");
    assert_eq!(clusters.get("static_clusters"), None);
    assert_eq!(dump["configs"].as_array().unwrap().len(), 4, "without endpoints");
}

#[test]
fn config_dump_says_the_version_of_http_as_istiod_writes_it() {
    let seconds = Duration::from_secs;
    let http2 = UpstreamHttp { version: UpstreamVersion::Http2, ..UpstreamHttp::default() };
    let bounded = UpstreamHttp {
        max_concurrent_streams: NonZeroU32::new(9),
        ping: Some(Http2Ping { interval: seconds(30), timeout: Duration::from_millis(2_500) }),
        ..http2
    };
    let client = UpstreamHttp { version: UpstreamVersion::Client, ..UpstreamHttp::default() };
    let explicit = |options: Value| ("explicit_http_config", options);
    for (http, (key, expected)) in [
        (UpstreamHttp::default(), explicit(json!({"http_protocol_options": {}}))),
        (http2, explicit(json!({"http2_protocol_options": {}}))),
        (
            bounded,
            explicit(json!({"http2_protocol_options": {
                "max_concurrent_streams": 9,
                "connection_keepalive": {"interval": "30s", "timeout": "2.500s"},
            }})),
        ),
        (
            client,
            (
                "use_downstream_protocol_config",
                json!({"http_protocol_options": {}, "http2_protocol_options": {}}),
            ),
        ),
    ] {
        let mut status = sample::httpbin();
        status.cluster = Arc::new(Cluster { http, ..(*status.cluster).clone() });
        let status = ProxyStatus { clusters: vec![status], ..sample::proxy() };
        let page = config_dump::page(&status, &Query::parse(""));
        let dump = parsed(&page);
        let options =
            &dump["configs"][0]["static_clusters"][0]["cluster"]["typed_extension_protocol_options"];
        let options = options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].as_object().unwrap();
        assert_eq!(options[key], expected);
        assert_eq!(options.len(), 3, "type, bounds of both versions, and one choice: {options:?}");
        let dump = Dump::parse(&page.body).unwrap();
        let tree = dump.cluster_settings(&ClusterFilter::default()).unwrap();
        let printed = serde_json::to_string(&tree).unwrap();
        let streams =
            r#""http2ProtocolOptions":{"maxConcurrentStreams":9,"connectionKeepalive":{"interval":"30s""#;
        assert_eq!(printed.contains(streams), http == bounded, "{printed}");
    }
}

fn parsed(page: &Page) -> Value {
    serde_json::from_str(&page.body).unwrap()
}

#[test]
fn config_dump_selects_a_list_and_fields_of_its_entries() {
    let dump = |query: &str| config_dump::page(&sample::proxy(), &Query::parse(query));
    let clusters = parsed(&dump("resource=static_clusters&mask=cluster.name,last_updated"));
    let first = &clusters["configs"][0];
    assert_eq!(first["@type"], "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster");
    assert!(first["last_updated"].is_string());
    let fields: Vec<&String> = first["cluster"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["@type", "name"]);
    assert_eq!(dump("resource=dynamic_active_clusters").body, "{}\n", "there is none, and the list exists");
    assert_eq!(dump("resource=static_endpoint_configs").status, 404, "not without include_eds");
    assert_eq!(
        dump("include_eds&resource=static_endpoint_configs&mask=endpoint_config.cluster_name").status,
        200
    );
    let sections = parsed(&dump("include_eds&mask=static_clusters"));
    assert_eq!(
        sections["configs"].as_array().unwrap().len(),
        1,
        "what the mask leads nowhere in is left out"
    );
}

#[test]
fn what_config_dump_cannot_select_by_is_refused() {
    for (query, status) in [
        ("resource=nosuch", 404),
        ("mask=nosuch", 400),
        ("resource=static_clusters&mask=cluster.nosuch", 400),
        ("mask=static_clusters.cluster", 400),
        ("name_regex=%5B", 400),
    ] {
        assert_eq!(config_dump::page(&sample::proxy(), &Query::parse(query)).status, status, "{query}");
    }
}

#[test]
fn memory_is_envoys_names_with_numbers_as_strings() {
    let page = memory::page(Memory { heap: Some(5), resident: Some(7) });
    assert_eq!(page.body, "{\n \"heap_size\": \"5\",\n \"total_physical_bytes\": \"7\"\n}\n");
    assert_eq!(memory::page(Memory::default()).body, "{}\n", "what the system does not tell is absent");
}

#[test]
fn server_info() {
    assert_golden("server_info.json", &server_info::page(&sample::proxy().server));
}

#[test]
fn help() {
    assert_golden("help.txt", &endpoint::help());
}

#[test]
fn endpoints_say_which_pod_is_out_why_and_until_when() {
    let mut status = sample::httpbin();
    let cluster = Arc::make_mut(&mut status.cluster);
    cluster.outlier = Some(OutlierPolicy::default());
    status.hosts[0].hostname = "httpbin-a".into();
    status.hosts[0].node = "node-1".into();
    status.hosts[0].ejections = 2;
    status.hosts[0].streaks = vec![(DetectionKind::Consecutive5xx, 0)];
    status.hosts[0].ejection = Some(EjectionStatus {
        number: 2,
        since: Duration::from_millis(1_500),
        remaining: Duration::from_millis(58_500),
        returns_in: Duration::from_millis(60_000),
        detector: DetectionKind::Consecutive5xx,
        evidence: None,
    });
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_829_461);
    let page = hosts::page(&[status, sample::unused()], now);
    assert_golden("endpoints.json", &page);
    let read: hosts::Endpoints = serde_json::from_str(&page.body).unwrap();
    assert_eq!(read.clusters[0].endpoints[0].state, hosts::State::Ejected);
}

#[test]
fn breakers_say_why_by_which_line_and_what_happened() {
    let at = Instant::from_millis;
    let cause = Cause::ConsecutiveFailures { count: 3 };
    let mut status = sample::httpbin();
    let mut breaker = ClusterBreaker {
        scope: BreakerScope::Destination,
        policy: BreakerPolicy::default(),
        rules: Vec::new(),
        provenance: Provenance::default(),
    };
    breaker.policy.trip.consecutive_failures = NonZeroU32::new(3);
    let resource = ResourceRef {
        kind: Arc::from("CircuitBreaker"),
        namespace: Arc::from("default"),
        name: Arc::from("httpbin"),
    };
    let place = Location { file: Arc::from("breaker.yaml"), line: 7, column: 5 };
    let field = Arc::from("spec.trip.consecutiveFailures");
    let origin = Origin { resource, field, location: Some(place) };
    breaker.provenance.insert(BreakerSetting::ConsecutiveFailures, Arc::new(origin));
    Arc::make_mut(&mut status.cluster).breaker = Some(breaker);
    status.breaker = Some(BreakerStatus {
        view: BreakerView {
            mode: Mode::Enforce,
            state: State::Open,
            since: at(1_000),
            cause: cause.clone(),
            window: Tally { calls: 3, failures: 2, slow: 0 },
            consecutive_failures: 3,
            probes_out: 0,
            good_probes: 0,
            open_until: Some(at(31_000)),
            traffic_percent: 0,
            trips: 1,
            would_have_refused: 0,
            forced: None,
        },
        read_at: at(13_500),
    });
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_829_461);
    let opened = Transition {
        from: State::Closed,
        to: State::Open,
        at: at(1_000),
        cause,
        open_until: Some(at(31_000)),
        shadow: false,
    };
    let address = status.hosts[0].address;
    let detector = DetectionKind::Consecutive5xx.event_type();
    let ejected = HistoryEvent::Ejected { address, detector, number: 1, time: Duration::from_secs(30) };
    let history = [
        ejected,
        HistoryEvent::Returned { address },
        HistoryEvent::Breaker { endpoint: None, change: opened },
    ]
    .map(|event| HistoryRecord { at: now - Duration::from_millis(12_500), event });
    let histories = HashMap::from([(Arc::clone(&status.cluster.name), history.to_vec())]);
    let page = breakers::page(&[status, sample::unused()], &histories, now);
    assert_golden("breakers.json", &page);
    let read: breakers::Breakers = serde_json::from_str(&page.body).unwrap();
    let breaker = read.clusters[0].breaker.as_ref().unwrap();
    assert_eq!(breaker.next_probe_in_ms, Some(17_500));
    assert_eq!(breaker.since, read.clusters[0].history[2].at, "one moment, one time");
    assert_eq!(read.clusters[1].breaker, None);
}

#[test]
fn ejections_say_which_host_why_and_for_how_long() {
    let mut status = sample::httpbin();
    status.hosts[0].ejection = Some(EjectionStatus {
        number: 2,
        since: Duration::from_millis(1_500),
        remaining: Duration::from_millis(58_500),
        returns_in: Duration::from_millis(60_000),
        detector: DetectionKind::Consecutive5xx,
        evidence: None,
    });
    let page = ejections::page(&[status, sample::unused()]);
    assert_golden("ejections.json", &page);
    let read: ejections::Ejections = serde_json::from_str(&page.body).unwrap();
    assert_eq!(read.ejections[0].number, 2);
}

#[test]
fn refusals_carry_limit_value_and_the_rules_place_and_read_back() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_400_867_643);
    let record = RefusalRecord {
        trip: None,
        at: now - Duration::from_millis(1_250),
        cluster: Some(Arc::from("outbound|8000||httpbin.default.svc.cluster.local")),
        listener: Arc::from("outbound"),
        reason: RefusalReason::LimitQueueFull,
        status: 503,
        flag: "UO",
        setting: Some("http1MaxPendingRequests"),
        bound: Some(1),
        value: Some(1),
        queue: 1,
        rule: Some(Arc::new(Origin {
            resource: ResourceRef {
                kind: Arc::from("DestinationRule"),
                namespace: Arc::from("default"),
                name: Arc::from("httpbin"),
            },
            field: Arc::from("spec.trafficPolicy.connectionPool.http.http1MaxPendingRequests"),
            location: Some(Location { file: Arc::from("httpbin.yaml"), line: 11, column: 9 }),
        })),
    };
    let no_healthy = RefusalRecord {
        at: now - Duration::from_millis(3),
        reason: RefusalReason::NoHealthy,
        flag: "UH",
        setting: None,
        bound: None,
        value: None,
        queue: 0,
        rule: None,
        ..record.clone()
    };
    let too_old = RefusalRecord { at: now - Duration::from_secs(61), ..record.clone() };
    let page = refusals::page(&[too_old, record, no_healthy], false, Duration::from_mins(1), now);
    assert_golden("refusals.json", &page);
    let read: refusals::Refusals = serde_json::from_str(&page.body).unwrap();
    let reasons: Vec<_> = read.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(reasons, ["limit.queue_full", "no_healthy"], "what is older than the window is left out");
}

#[test]
fn the_window_of_refusals_is_a_minute_unless_the_request_says() {
    assert_eq!(refusals::window(&Query::default()), Ok(Duration::from_mins(1)));
    assert_eq!(refusals::window(&Query::parse("last=90s")), Ok(Duration::from_secs(90)));
    assert_eq!(refusals::window(&Query::parse("last=90")).unwrap_err().status, 400);
}
