//! The traps of rule precedence and of Istio's zeros, each as one sentence.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_config::{ListenPlan, ResourceSet, SourceText, Workload, load, resolve};
use fuseboard_core::balance::LbPolicy;
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_core::outlier::Detector;
use fuseboard_snapshot::{Cluster, Snapshot};

/// A service `web` on ports 80 and 81 in namespace `owner`, with three endpoints, and rules.
#[derive(Default)]
struct Given(String);

impl Given {
    fn rule(mut self, namespace: &str, name: &str, spec: &str) -> Self {
        let id = format!("{{name: {name}, namespace: {namespace}}}");
        write!(
            self.0,
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {id}\nspec: {spec}\n"
        )
        .unwrap();
        self
    }

    fn aged_rule(mut self, name: &str, created: &str, spec: &str) -> Self {
        let id = format!("{{name: {name}, namespace: owner, creationTimestamp: \"{created}\"}}");
        write!(
            self.0,
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {id}\nspec: {spec}\n"
        )
        .unwrap();
        self
    }

    fn resources(&self) -> ResourceSet {
        let service = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: owner}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: http-b, port: 81}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: owner, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: http-b, port: 8081}]
endpoints: [{addresses: [10.9.0.1]}, {addresses: [10.9.0.2]}, {addresses: [10.9.0.3]}]
";
        let (resources, diagnostics) = load(&[SourceText::new("given.yaml", format!("{service}{}", self.0))]);
        assert!(resources.rejected.is_empty(), "{diagnostics:?}");
        resources
    }

    fn seen_from(&self, workload: &Workload) -> Snapshot {
        resolve(&self.resources(), workload, &ListenPlan::outbound(Vec::new()), 1).0
    }

    /// Port 80, seen from namespace `client`.
    fn cluster(&self) -> Arc<Cluster> {
        named(&self.seen_from(&client()), "outbound|80||web.owner.svc.cluster.local")
    }

    fn connections(&self) -> u32 {
        self.cluster().thresholds.default.max_connections
    }

    fn connections_from(&self, workload: &Workload) -> u32 {
        let snapshot = self.seen_from(workload);
        named(&snapshot, "outbound|80||web.owner.svc.cluster.local").thresholds.default.max_connections
    }
}

fn named(snapshot: &Snapshot, name: &str) -> Arc<Cluster> {
    snapshot.clusters.iter().find(|cluster| &*cluster.name == name).unwrap().clone()
}

fn in_namespace(namespace: &str) -> Workload {
    Workload { namespace: namespace.into(), ..Workload::default() }
}

fn client() -> Workload {
    in_namespace("client")
}

/// A rule's spec that limits connections.
fn limit(host: &str, connections: u32) -> String {
    format!(
        "{{host: \"{host}\", trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {connections}}}}}}}}}"
    )
}

const FULL: &str = "web.owner.svc.cluster.local";

#[test]
fn without_a_rule_everything_is_unlimited_and_high_priority_keeps_envoys_numbers() {
    let cluster = Given::default().cluster();
    assert_eq!(cluster.thresholds.default, Thresholds::UNLIMITED);
    assert_eq!(cluster.thresholds.high, Thresholds::ENVOY);
    assert_eq!(cluster.outlier, None);
    assert_eq!(cluster.panic_threshold, 0);
    assert_eq!(cluster.lb, LbPolicy::LeastRequest);
    assert_eq!(cluster.connect_timeout, Duration::from_secs(10));
    assert_eq!(cluster.connection.idle_timeout, Some(Duration::from_hours(1)));
    assert_eq!(cluster.rule, None);
}

#[test]
fn zero_cannot_be_expressed() {
    let spec = "{host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 0}, http: {http1MaxPendingRequests: 0, \
                http2MaxRequests: 0, maxRetries: 0, maxRequestsPerConnection: 0}}, \
                outlierDetection: {maxEjectionPercent: 0, minHealthPercent: 0}}}";
    let cluster = Given::default().rule("owner", "zeros", spec).cluster();
    assert_eq!(cluster.thresholds.default, Thresholds::UNLIMITED);
    assert_eq!(cluster.connection.max_requests, None);
    let outlier = cluster.outlier.as_ref().unwrap();
    assert_eq!(outlier.max_ejection_percent, 10);
    let settings: Vec<_> = cluster.provenance.iter().map(|(setting, _)| setting.field()).collect();
    assert_eq!(settings, ["outlierDetection"], "what has no effect was not set by anybody");
}

#[test]
fn with_a_rule_high_priority_still_keeps_envoys_numbers() {
    let cluster = Given::default().rule("owner", "web", &limit("web", 7)).cluster();
    assert_eq!(cluster.thresholds.default, Thresholds { max_connections: 7, ..Thresholds::UNLIMITED });
    assert_eq!(cluster.thresholds.high, Thresholds::ENVOY);
}

#[test]
fn ten_percent_is_the_default_even_where_three_hosts_make_it_nobody() {
    let spec = "{host: web, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}}}";
    let cluster = Given::default().rule("owner", "web", spec).cluster();
    assert_eq!(cluster.endpoints.len(), 3);
    let outlier = cluster.outlier.as_ref().unwrap();
    assert_eq!((outlier.max_ejection_percent, outlier.always_eject_one_host), (10, false));
}

#[test]
fn an_ejection_percentage_is_passed_on_as_written() {
    for percent in [1, 34, 50, 100] {
        let spec =
            format!("{{host: web, trafficPolicy: {{outlierDetection: {{maxEjectionPercent: {percent}}}}}}}");
        let cluster = Given::default().rule("owner", "web", &spec).cluster();
        assert_eq!(cluster.outlier.as_ref().unwrap().max_ejection_percent, percent);
    }
}

#[test]
fn a_port_entry_replaces_every_block_of_the_rule() {
    let spec = "{host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}, loadBalancer: {simple: RANDOM}, \
                portLevelSettings: [{port: {number: 81}, outlierDetection: {}}]}}";
    let snapshot = Given::default().rule("owner", "web", spec).seen_from(&client());
    let on_80 = named(&snapshot, "outbound|80||web.owner.svc.cluster.local");
    let on_81 = named(&snapshot, "outbound|81||web.owner.svc.cluster.local");
    assert_eq!((on_80.thresholds.default.max_connections, on_80.lb), (5, LbPolicy::Random));
    assert_eq!(on_80.outlier, None);
    assert_eq!((on_81.thresholds.default.max_connections, on_81.lb), (UNLIMITED, LbPolicy::LeastRequest));
    assert!(on_81.outlier.is_some());
}

#[test]
fn a_port_entry_of_a_subset_replaces_blocks_even_by_nothing() {
    let spec = "{host: web, trafficPolicy: {outlierDetection: {}, connectionPool: {tcp: {maxConnections: 5}}}, \
                subsets: [{name: s, trafficPolicy: {portLevelSettings: [{port: {number: 81}, loadBalancer: {simple: RANDOM}}]}}]}";
    let snapshot = Given::default().rule("owner", "web", spec).seen_from(&client());
    let on_80 = named(&snapshot, "outbound|80|s|web.owner.svc.cluster.local");
    let on_81 = named(&snapshot, "outbound|81|s|web.owner.svc.cluster.local");
    assert_eq!((on_80.outlier.is_some(), on_80.thresholds.default.max_connections), (true, 5));
    assert_eq!((on_81.outlier.is_some(), on_81.thresholds.default.max_connections), (false, UNLIMITED));
}

#[test]
fn port_entries_mean_the_service_port_and_the_first_of_two_counts() {
    let spec = "{host: web, trafficPolicy: {portLevelSettings: [\
                {port: {number: 8080}, connectionPool: {tcp: {maxConnections: 1}}}, \
                {port: {number: 80}, connectionPool: {tcp: {maxConnections: 2}}}, \
                {port: {number: 80}, connectionPool: {tcp: {maxConnections: 3}}}]}}";
    assert_eq!(Given::default().rule("owner", "web", spec).connections(), 2);
}

#[test]
fn of_two_rules_for_one_host_the_older_policy_counts_whole() {
    let pool = limit("web", 1);
    let outlier = "{host: web, trafficPolicy: {outlierDetection: {}}}";
    let older_pool = Given::default()
        .aged_rule("b", "2026-01-01T00:00:00Z", &pool)
        .aged_rule("a", "2026-01-02T00:00:00Z", outlier)
        .cluster();
    assert_eq!((older_pool.thresholds.default.max_connections, older_pool.outlier.is_some()), (1, false));
    let older_outlier = Given::default()
        .aged_rule("b", "2026-01-02T00:00:00Z", &pool)
        .aged_rule("a", "2026-01-01T00:00:00Z", outlier)
        .cluster();
    assert_eq!(
        (older_outlier.thresholds.default.max_connections, older_outlier.outlier.is_some()),
        (UNLIMITED, true)
    );
}

#[test]
fn without_ages_the_name_decides_and_not_the_place_in_the_files() {
    let given = Given::default().rule("owner", "b", &limit("web", 2)).rule("owner", "a", &limit("web", 1));
    assert_eq!(given.connections(), 1);
}

#[test]
fn rules_with_different_exports_are_not_merged_and_the_newer_counts() {
    let open = "{host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}";
    let named =
        "{host: web, exportTo: [client], trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}}}";
    let newer_named = Given::default().aged_rule("a", "2026-01-01T00:00:00Z", open).aged_rule(
        "b",
        "2026-01-02T00:00:00Z",
        named,
    );
    assert_eq!(newer_named.connections(), 2);
    let newer_open = Given::default().aged_rule("a", "2026-01-02T00:00:00Z", open).aged_rule(
        "b",
        "2026-01-01T00:00:00Z",
        named,
    );
    assert_eq!(newer_open.connections(), 1);
}

#[test]
fn a_rule_that_exports_to_more_is_merged_into_the_older_one() {
    let narrow =
        "{host: web, exportTo: [client], trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}";
    let wide =
        "{host: web, exportTo: [client, other], trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}}}";
    let given = Given::default().aged_rule("a", "2026-01-01T00:00:00Z", narrow).aged_rule(
        "b",
        "2026-01-02T00:00:00Z",
        wide,
    );
    assert_eq!(given.connections(), 1);
    assert_eq!(
        given.connections_from(&in_namespace("other")),
        UNLIMITED,
        "merged, it has the older one's exports"
    );
}

#[test]
fn a_wildcard_in_the_clients_namespace_hides_the_services_own_rule() {
    let retries = "{host: \"*\", trafficPolicy: {connectionPool: {http: {maxRetries: 1}}}}";
    let cluster =
        Given::default().rule("client", "all", retries).rule("owner", "web", &limit("web", 2)).cluster();
    assert_eq!(cluster.thresholds.default, Thresholds { max_retries: 1, ..Thresholds::UNLIMITED });
    assert_eq!(cluster.rule.as_ref().unwrap().to_string(), "DestinationRule all.client");
}

#[test]
fn the_clients_namespace_goes_before_the_services_and_that_before_the_root() {
    let root = Given::default().rule("istio-system", "web", &limit(FULL, 3));
    assert_eq!(root.connections(), 3);
    let service = root.rule("owner", "web", &limit("web", 2));
    assert_eq!(service.connections(), 2);
    let client = service.rule("client", "web", &limit(FULL, 1));
    assert_eq!(client.connections(), 1);
}

#[test]
fn a_client_in_the_root_namespace_prefers_the_services_rule_unless_its_own_is_private() {
    let root = in_namespace("istio-system");
    let public =
        Given::default().rule("istio-system", "all", &limit("*", 3)).rule("owner", "web", &limit("web", 2));
    assert_eq!(public.connections_from(&root), 2);
    let private =
        "{host: \"*\", exportTo: [\".\"], trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}";
    assert_eq!(public.rule("istio-system", "mine", private).connections_from(&root), 1);
}

#[test]
fn a_host_that_is_hidden_from_the_client_still_hides_wider_ones_of_its_namespace() {
    let exact =
        "{host: web, exportTo: [somebody], trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}";
    let given = Given::default()
        .rule("owner", "web", exact)
        .rule("owner", "wide", &limit("*.owner.svc.cluster.local", 2))
        .rule("istio-system", "all", &limit("*", 3));
    assert_eq!(given.connections(), 3);
    assert_eq!(given.connections_from(&in_namespace("somebody")), 1);
}

#[test]
fn a_private_rule_hides_nothing_from_other_namespaces() {
    let exact = "{host: web, exportTo: [\".\"], trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}";
    let given = Given::default().rule("owner", "web", exact).rule(
        "owner",
        "wide",
        &limit("*.owner.svc.cluster.local", 2),
    );
    assert_eq!(given.connections(), 2);
    assert_eq!(given.connections_from(&in_namespace("owner")), 1);
}

#[test]
fn a_rule_exported_only_to_others_does_not_apply_at_home() {
    let spec = "{host: web, exportTo: [client], trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}";
    let given = Given::default().rule("owner", "web", spec);
    assert_eq!(given.connections(), 1);
    assert_eq!(given.connections_from(&in_namespace("owner")), UNLIMITED);
}

#[test]
fn a_name_with_a_dot_is_not_completed() {
    for host in ["web.owner", "web.owner.svc"] {
        assert_eq!(Given::default().rule("owner", "web", &limit(host, 1)).connections(), UNLIMITED, "{host}");
    }
}

#[test]
fn a_short_name_belongs_to_the_namespace_of_its_rule() {
    assert_eq!(Given::default().rule("client", "web", &limit("web", 1)).connections(), UNLIMITED);
    assert_eq!(Given::default().rule("owner", "web", &limit("web", 1)).connections(), 1);
}

#[test]
fn a_rule_for_chosen_workloads_is_for_those_of_its_own_namespace_only() {
    let selected = "{host: web.owner.svc.cluster.local, workloadSelector: {matchLabels: {app: chosen}}, \
                    trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}}}";
    let given = Given::default().rule("client", "all", &limit(FULL, 1)).rule("client", "chosen", selected);
    let labelled = |namespace: &str, app: &str| {
        let mut workload = in_namespace(namespace);
        workload.labels.insert("app".into(), app.into());
        workload
    };
    assert_eq!(given.connections_from(&labelled("client", "chosen")), 2);
    assert_eq!(given.connections_from(&labelled("client", "other")), 1);
    assert_eq!(given.connections_from(&labelled("owner", "chosen")), UNLIMITED);
}

#[test]
fn a_rule_for_all_workloads_lends_its_subsets_to_one_for_chosen_workloads() {
    let selected = "{host: web, workloadSelector: {matchLabels: {app: chosen}}, subsets: [{name: own}]}";
    let generic = "{host: web, exportTo: [\".\"], trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}, subsets: [{name: lent}]}";
    let mut chosen = in_namespace("owner");
    chosen.labels.insert("app".into(), "chosen".into());
    let snapshot =
        Given::default().rule("owner", "all", generic).rule("owner", "chosen", selected).seen_from(&chosen);
    for name in
        ["outbound|80|own|web.owner.svc.cluster.local", "outbound|80|lent|web.owner.svc.cluster.local"]
    {
        assert_eq!(named(&snapshot, name).thresholds.default.max_connections, 1, "{name}");
    }
}

#[test]
fn a_rule_lent_to_chosen_workloads_still_counts_for_the_others() {
    let selected = "{host: web, workloadSelector: {matchLabels: {app: chosen}}, \
                    trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}}}";
    let generic =
        "{host: web, exportTo: [\".\"], trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}";
    let given = Given::default().rule("owner", "all", generic).rule("owner", "chosen", selected);
    assert_eq!(given.connections_from(&in_namespace("owner")), 1);
}

#[test]
fn each_subset_has_the_limits_of_the_rule_for_itself() {
    let spec = "{host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}, subsets: [{name: v1}, {name: v2}]}";
    let snapshot = Given::default().rule("owner", "web", spec).seen_from(&client());
    let on_80: Vec<_> = snapshot.clusters.iter().filter(|cluster| cluster.service.port == 80).collect();
    assert_eq!(on_80.len(), 3);
    assert!(
        on_80
            .iter()
            .all(|cluster| cluster.thresholds.default.max_connections == 1 && cluster.endpoints.len() == 3)
    );
}

#[test]
fn consecutive_errors_acts_as_it_did_unless_a_new_field_is_set() {
    let outlier = |fields: &str| {
        let spec = format!("{{host: web, trafficPolicy: {{outlierDetection: {{{fields}}}}}}}");
        Given::default().rule("owner", "web", &spec).cluster().outlier.clone().unwrap()
    };
    let enforced = |threshold| Detector { threshold, enforcing_percent: 100 };
    let old = outlier("consecutiveErrors: 7");
    assert_eq!(old.consecutive_gateway_failure, enforced(7));
    assert_eq!(old.consecutive_5xx.enforcing_percent, 0);
    let with_5xx = outlier("consecutiveErrors: 7, consecutive5xxErrors: 3");
    assert_eq!(with_5xx.consecutive_5xx, enforced(3));
    assert_eq!(with_5xx.consecutive_gateway_failure.enforcing_percent, 0);
    let with_gateway = outlier("consecutiveErrors: 7, consecutiveGatewayErrors: 2");
    assert_eq!(with_gateway.consecutive_gateway_failure, enforced(2));
    assert_eq!(with_gateway.consecutive_5xx, enforced(5));
}

#[test]
fn local_failures_have_a_threshold_of_their_own_only_when_split() {
    let outlier = |fields: &str| {
        let spec = format!("{{host: web, trafficPolicy: {{outlierDetection: {{{fields}}}}}}}");
        Given::default().rule("owner", "web", &spec).cluster().outlier.clone().unwrap()
    };
    let split = outlier("splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2");
    assert!(split.split_external_local_origin_errors);
    assert_eq!(split.consecutive_local_origin_failure, Detector { threshold: 2, enforcing_percent: 100 });
    let unset = outlier("splitExternalLocalOriginErrors: true");
    assert_eq!(unset.consecutive_local_origin_failure, Detector { threshold: 5, enforcing_percent: 100 });
}

#[test]
fn one_ejection_may_last_as_long_as_a_base_time_above_envoys_bound() {
    let spec = "{host: web, trafficPolicy: {outlierDetection: {baseEjectionTime: 10m}}}";
    let cluster = Given::default().rule("owner", "web", spec).cluster();
    assert_eq!(cluster.outlier.as_ref().unwrap().max_ejection_time, Duration::from_mins(10));
}
