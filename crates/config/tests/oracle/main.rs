//! What a real istiod told a real Envoy, beside what we resolve from the same resources.
//!
//! Each folder is one case: `in.yaml` (resources; where istiod knew ages, they are written as timestamps) and `facts.json`:
//! for each client the clusters that its Envoy held, cut down to what is compared here. Limits of 4294967295 and values at
//! Envoy's default are left out; `listeners.json`, where it is, says what the listeners of single ports carried (ports without one
//! shared a listener with others, as HTTP). Recorded from istiod of 2026-08-27 with Envoy 1.40.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod facts;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fuseboard_config::{Carries, ListenPlan, Materials, PortListen, SourceText, Workload, load, resolve};
use fuseboard_core::outlier::Detector;
use fuseboard_snapshot::{Availability, ListenerTarget};
use serde_json::Value;

use facts::{Facts, Tls};

/// Where we differ on purpose: case, cluster, the difference's number, and what it makes of istiod's facts.
type Difference = (&'static str, &'static str, &'static str, fn(&mut Facts));

/// Where the files are.
const PEM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pem/");

const DIFFERENCES: &[Difference] = &[
    (
        "outlier-consecutive-errors-deprecated",
        "outbound|80||old.olderrors.svc.cluster.local",
        "D9",
        |facts| {
            let outlier = facts.outlier.as_mut().unwrap();
            outlier.consecutive_5xx.enforcing_percent = 0;
            outlier.consecutive_gateway_failure = Detector { threshold: 5, enforcing_percent: 100 };
        },
    ),
    ("tls-origination-external", "outbound|80||credential.example.org", "D41", |facts| {
        facts.tls = Tls::Own {
            sni: None,
            names: "requested".to_owned(),
            authorities: Some("kubernetes://some-secret".to_owned()),
            credential: None,
        }
    }),
];

/// Clusters that only we have: istiod makes none for a subset of a DNS service that no address is in, and we look up no
/// names, so that all such subsets would be without.
const SURPLUS: &[(&str, &str)] = &[("subset-on-service-entry", "outbound|80|none|multi.example")];

/// Rules that no webhook checked when the facts were recorded, and that Istio's validation refuses, as we do.
const REFUSED: &[(&str, &str)] = &[("pool-use-client-protocol-by-port", "destination-rule/ucp/upgrade-too")];

#[test]
fn every_cluster_is_as_istiod_makes_it_apart_from_the_listed_differences() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let mut compared = 0;
    let mut problems = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let case = entry.file_name().into_string().unwrap();
        compared += compare(&case, &entry.path(), &mut problems);
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(compared > 150, "only {compared} clusters were compared");
}

fn compare(case: &str, folder: &Path, problems: &mut Vec<String>) -> usize {
    let yaml = fs::read(folder.join("in.yaml")).unwrap();
    let facts: Value = serde_json::from_slice(&fs::read(folder.join("facts.json")).unwrap()).unwrap();
    // The files that rules name are ours.
    let yaml = String::from_utf8(yaml).unwrap().replace("/etc/", PEM);
    let (mut resources, _) = load(&[SourceText::new("in.yaml", yaml)]);
    resources.read_materials(&ListenPlan::outbound(Vec::new()), &Materials::default());
    let rejected: Vec<String> = resources
        .rejected
        .iter()
        .map(|id| format!("destination-rule/{}/{}", id.namespace, id.name))
        .collect();
    assert!(rejected.iter().all(|rule| REFUSED.contains(&(case, rule))), "{case}: {rejected:?} rejected");
    let mut compared = 0;
    for client in facts.as_array().unwrap() {
        let (snapshot, _) =
            resolve(&resources, &workload(&client["client"]), &ListenPlan::outbound(Vec::new()), 1);
        let ours: BTreeMap<&str, Facts> =
            snapshot.clusters.iter().map(|cluster| (&*cluster.name, Facts::of_ours(cluster))).collect();
        let theirs: BTreeMap<&str, Facts> =
            client["clusters"].as_array().unwrap().iter().map(Facts::of_istiod).collect();
        for (name, expected) in expected(case, theirs) {
            if expected.rule.as_ref().is_some_and(|rule| rejected.contains(rule)) {
                continue;
            }
            compared += 1;
            match ours.get(name) {
                Some(found) => {
                    problems
                        .extend(expected.differences(found).map(|what| format!("{case}: {name}: {what}")));
                }
                None => problems.push(format!("{case}: {name} is missing")),
            }
        }
        let known: Vec<_> =
            client["clusters"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        let surplus = |name: &&&str| !SURPLUS.contains(&(case, **name));
        let extra = ours.keys().filter(surplus).filter(|name| !known.contains(name));
        problems.extend(extra.map(|name| format!("{case}: {name} does not exist in Istio")));
    }
    compared
}

fn expected<'a>(case: &str, mut theirs: BTreeMap<&'a str, Facts>) -> BTreeMap<&'a str, Facts> {
    for (_, cluster, _, apply) in DIFFERENCES.iter().filter(|difference| difference.0 == case) {
        apply(theirs.get_mut(cluster).unwrap());
    }
    theirs
}

fn workload(client: &Value) -> Workload {
    let labels = client["labels"].as_object().into_iter().flatten();
    Workload {
        namespace: client["namespace"].as_str().unwrap().into(),
        labels: labels.map(|(key, value)| (key.as_str().into(), value.as_str().unwrap().into())).collect(),
        ..Workload::default()
    }
}

#[test]
fn d41_a_secret_is_used_or_nobody_is_called() {
    let yaml = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/tls-origination-external/in.yaml"),
    )
    .unwrap();
    let with = ["credential.example.org", "credential-ca.example.org"];
    for (yaml, serving) in
        [(yaml.clone(), true), (yaml.replace("name: some-secret-cacert", "name: x"), false)]
    {
        let (resources, _) = load(&[SourceText::new("in.yaml", yaml)]);
        let client = serde_json::json!({"namespace": "tlsext", "labels": {"app": "client"}});
        let (snapshot, _) = resolve(&resources, &workload(&client), &ListenPlan::outbound(Vec::new()), 1);
        let clusters = snapshot.clusters.iter().filter(|cluster| with.contains(&&*cluster.service.host));
        for cluster in clusters {
            assert_eq!(cluster.tls.is_some(), serving, "{}", cluster.name);
            assert_eq!(cluster.availability == Availability::Serving, serving, "{}", cluster.name);
        }
    }
}

#[test]
fn a_port_of_its_own_carries_what_istiods_listener_for_it_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/service-port-protocols");
    let yaml = fs::read_to_string(folder.join("in.yaml")).unwrap();
    let theirs: BTreeMap<String, String> =
        serde_json::from_slice(&fs::read(folder.join("listeners.json")).unwrap()).unwrap();
    let (resources, _) = load(&[SourceText::new("in.yaml", yaml)]);
    let client = workload(&serde_json::json!({"namespace": "protocols"}));
    let mut compared = 0;
    for (service, address, ports) in [
        ("named", "10.0.0.101", [80].into_iter().chain(1001..=1013).collect::<Vec<u16>>()),
        ("app", "10.0.0.102", (1101..=1107).collect()),
        ("well-known", "10.0.0.103", vec![3306, 25, 27017, 5432, 6379]),
    ] {
        for port in ports {
            let own = PortListen {
                address: format!("127.0.0.1:{port}").parse().unwrap(),
                host: service.into(),
                port,
                carries: Carries::Declared,
                tls: false,
            };
            let plan = ListenPlan { ports: vec![own], ..ListenPlan::outbound(Vec::new()) };
            let (snapshot, _) = resolve(&resources, &client, &plan, 1);
            let ours = match snapshot.listeners[0].target {
                ListenerTarget::Routes(_) => None,
                ListenerTarget::Tcp(_) => Some("bytes"),
                ListenerTarget::Detect(_) => Some("either"),
            };
            let theirs = theirs.get(&format!("{address}:{port}")).map(String::as_str);
            assert_eq!(ours, theirs, "port {port} of {service}");
            compared += usize::from(theirs.is_some());
        }
    }
    assert_eq!(compared, theirs.len(), "each of istiod's listeners");
}
