//! The tables of `istioctl proxy-config`, byte for byte. The two pages are those of a real Envoy 1.40 (with one host marked
//! as ejected), the tables were printed by Go's own `text/tabwriter` with istioctl's columns and order; nothing here is
//! rewritten by `bless`.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use fuseboard_admin::proxy_config::{ClusterFilter, Dump, DumpError, EndpointFilter, Tree};

fn config() -> Dump {
    Dump::parse(include_str!("proxy_config/config_dump.json")).unwrap()
}

fn clusters() -> Dump {
    Dump::parse(include_str!("proxy_config/clusters.json")).unwrap()
}

fn json(tree: &Tree) -> serde_json::Value {
    serde_json::to_value(tree).unwrap()
}

#[test]
fn clusters_of_a_real_envoy() {
    let table = config().cluster_table(&ClusterFilter::default()).unwrap();
    assert_eq!(table, include_str!("proxy_config/cluster.txt"));
}

#[test]
fn hosts_of_a_real_envoy_and_what_outlier_detection_says() {
    let table = clusters().endpoint_table(&EndpointFilter::default(), "").unwrap();
    assert_eq!(table, include_str!("proxy_config/endpoint.txt"));
}

#[test]
fn endpoints_of_a_config_dump() {
    let table = config().endpoint_table(&EndpointFilter::default(), "").unwrap();
    assert_eq!(table, include_str!("proxy_config/endpoint_configured.txt"));
    let table = config().endpoint_table(&EndpointFilter::default(), "endpoint/").unwrap();
    assert!(table.contains("\nendpoint/./etc/istio/proxy/XDS     HEALTHY"), "{table}");
}

#[test]
fn clusters_are_filtered_by_parts_of_their_names() {
    let names = |filter: ClusterFilter| -> Vec<String> {
        let settings = json(&config().cluster_settings(&filter).unwrap());
        settings.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = ClusterFilter::default();
    assert_eq!(names(all.clone()).len(), 6);
    assert_eq!(
        names(ClusterFilter { fqdn: "example".into(), ..all.clone() }),
        ["outbound|443||api.example.com"]
    );
    assert_eq!(names(ClusterFilter { direction: "inbound".into(), ..all.clone() }), ["inbound|8080||"]);
    assert_eq!(names(ClusterFilter { subset: "v1".into(), ..all.clone() }).len(), 1);
    assert_eq!(names(ClusterFilter { port: 8000, ..all.clone() }).len(), 2);
    // 80 is no port here, though 8000 and 8080 begin with it.
    assert!(names(ClusterFilter { port: 80, ..all }).is_empty());
}

#[test]
fn endpoints_are_filtered_by_address_port_status_and_whole_cluster() {
    let all = EndpointFilter::default();
    let lines =
        |dump: &Dump, filter: &EndpointFilter| dump.endpoint_table(filter, "").unwrap().lines().count() - 1;
    let by_port = EndpointFilter { port: 28181, ..all.clone() };
    assert_eq!((lines(&clusters(), &by_port), lines(&config(), &by_port)), (2, 2));
    let by_status = EndpointFilter { status: "unhealthy".into(), ..all.clone() };
    assert_eq!((lines(&clusters(), &by_status), lines(&config(), &by_status)), (1, 1));
    let by_cluster = EndpointFilter { cluster: "AGENT".into(), ..all.clone() };
    assert_eq!((lines(&clusters(), &by_cluster), lines(&config(), &by_cluster)), (1, 1));
    assert_eq!(lines(&clusters(), &EndpointFilter { cluster: "age".into(), ..all.clone() }), 0);
    // istioctl compares the bare address here, and the address with its port in a config dump.
    assert_eq!(lines(&clusters(), &EndpointFilter { address: "127.0.0.1".into(), ..all.clone() }), 3);
    assert_eq!(lines(&config(), &EndpointFilter { address: "127.0.0.1:9".into(), ..all }), 1);
}

#[test]
fn an_endpoint_of_two_address_families_is_one_line() {
    let other =
        r#""additional_addresses": [{"address": {"socket_address": {"address": "::1", "port_value": 9}}}],"#;
    let page = include_str!("proxy_config/config_dump.json");
    let (before, after) = page.rsplit_once("\"port_value\": 9\n").unwrap();
    let (end_of_address, rest) = after.split_once("},").unwrap();
    let page = format!("{before}\"port_value\": 9\n{end_of_address}}},{other}{rest}");
    let dump = Dump::parse(&page).unwrap();
    let filter = EndpointFilter { address: "::1:9".into(), ..EndpointFilter::default() };
    let table = dump.endpoint_table(&filter, "").unwrap();
    assert!(
        table.lines().count() == 2 && table.contains("\n127.0.0.1:9,::1:9     HEALTHY     r1/z1"),
        "{table}"
    );
}

#[test]
fn json_is_in_istioctl_s_spelling_and_in_envoy_s_order() {
    let filter = ClusterFilter { fqdn: "httpbin".into(), ..ClusterFilter::default() };
    let settings = config().cluster_settings(&filter).unwrap();
    let first = &json(&settings)[0];
    assert_eq!(first["circuitBreakers"]["thresholds"][0]["maxConnections"], 1);
    assert_eq!(first["outlierDetection"]["consecutive5xx"], 3);
    assert_eq!(first["metadata"]["filterMetadata"]["istio"]["default_original_port"], 8000.0);
    let text = serde_json::to_string(&settings).unwrap();
    assert!(
        text.starts_with(r#"[{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"#),
        "{text}"
    );

    let filter = EndpointFilter { port: 9, ..EndpointFilter::default() };
    let hosts = json(&clusters().endpoint_settings(&filter).unwrap());
    assert_eq!(hosts.as_array().unwrap().len(), 1);
    assert_eq!(hosts[0]["hostStatuses"][1]["healthStatus"]["failedOutlierCheck"], true);
    let assignments = json(&config().endpoint_settings(&filter).unwrap());
    assert_eq!(assignments[0]["endpoints"][0]["lbEndpoints"].as_array().unwrap().len(), 1);
}

#[test]
fn what_a_page_cannot_say_is_an_error_that_says_where_it_is() {
    let without_endpoints = Dump::parse(r#"{"configs":[]}"#).unwrap();
    let said = without_endpoints.endpoint_table(&EndpointFilter::default(), "").unwrap_err();
    assert!(matches!(said, DumpError::NoEndpoints) && said.to_string().contains("include_eds"));
    let said = without_endpoints.cluster_table(&ClusterFilter::default()).unwrap_err();
    assert_eq!(said.to_string(), "no clusters found");
    let said = clusters().cluster_table(&ClusterFilter::default()).unwrap_err();
    assert!(said.to_string().contains("/config_dump"));
}
