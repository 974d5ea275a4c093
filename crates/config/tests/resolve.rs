//! Resources to a snapshot: each `tests/resolve/<name>.in.yaml` gives the text of `<name>.out.txt`.
//!
//! Comments of the form `#! key value` say what the command line says: `namespace`, `label`, `listen`,
//! `listen-tcp`, `to`, `tcp` and `accept-proxy` (any value), `host`, `timeout`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod golden;
mod inputs;
mod snapshot_text;

use std::fs;
use std::path::Path;

use fuseboard_api::parse_duration;
use fuseboard_config::diagnostic::render::{Look, text};
use fuseboard_config::{
    Carries, Code, Destination, Diagnostics, ListenPlan, Materials, PortListen, SourceText, Workload, load,
    resolve,
};
use fuseboard_core::Outcome;
use fuseboard_core::outlier::{DetectionKind, HostMonitor};
use golden::assert_golden;
use inputs::inputs;

#[test]
fn resources_give_listeners_routes_clusters_and_diagnostics() {
    for (name, yaml) in inputs("resolve") {
        let (workload, plan) = command_line(&yaml);
        let (mut resources, _) = load(&[SourceText::new(format!("{name}.yaml"), yaml)]);
        assert!(resources.rejected.is_empty(), "{name}: {:?} rejected", resources.rejected);
        resources.read_materials(&plan, &Materials::default());
        let (snapshot, diagnostics) = resolve(&resources, &workload, &plan, 1);
        assert_golden(&format!("resolve/{name}.out.txt"), &snapshot_text::render(&snapshot, &diagnostics));
    }
}

/// Each code of resolving has a file that it is about and one that it is not about, under `tests/resolve/codes`. Only
/// resolving itself can contradict itself.
fn codes() -> impl Iterator<Item = Code> {
    let own = |code: &Code| code.entry().id.starts_with("FB2") && *code != Code::Inconsistent;
    Code::ALL.iter().copied().filter(own)
}

fn findings(code: Code, file: &str) -> Diagnostics {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/resolve/codes/{code}/{file}"));
    let yaml = fs::read_to_string(&path).unwrap_or_default();
    assert!(!yaml.is_empty(), "{} is missing", path.display());
    let (workload, plan) = command_line(&yaml);
    let (mut resources, _) = load(&[SourceText::new(file, yaml)]);
    assert!(resources.rejected.is_empty(), "{code} {file}: {:?} rejected", resources.rejected);
    resources.read_materials(&plan, &Materials::default());
    resolve(&resources, &workload, &plan, 1).1
}

#[test]
fn the_bad_file_of_each_code_shows_it() {
    for code in codes() {
        let found = findings(code, "bad.yaml");
        assert!(
            found.iter().any(|diagnostic| diagnostic.code == code),
            "{code} is not found in its bad file"
        );
        let look = Look { color: false, unicode: true };
        let report: String = found.iter().map(|diagnostic| text(diagnostic, look)).collect();
        assert_golden(&format!("resolve/codes/{code}/bad.out.txt"), &report);
    }
}

#[test]
fn the_good_file_of_each_code_is_clean() {
    for code in codes() {
        let found = findings(code, "good.yaml");
        assert!(
            found.is_empty(),
            "{code}: {:?}",
            found.iter().map(|problem| &problem.message).collect::<Vec<_>>()
        );
    }
}

#[test]
fn d34_the_codes_of_a_rule_are_the_failures_and_the_only_ones() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolve/outlier-error-codes.in.yaml");
    let (resources, found) = load(&[SourceText::new("x.yaml", fs::read_to_string(path).unwrap())]);
    assert!(found.is_empty(), "{found:?}");
    let (workload, plan) = command_line("");
    let (snapshot, _) = resolve(&resources, &workload, &plan, 1);
    let policy = |host: &str| {
        let cluster = snapshot.clusters.iter().find(|cluster| &*cluster.service.host == host).unwrap();
        cluster.outlier.clone().unwrap()
    };
    let listed = policy("web.example");
    let streak_after = |status: u16| {
        let host = HostMonitor::new("host", 0);
        assert_eq!(host.record(host.begin(), Outcome::of_status(status), &listed), None);
        host.streak(DetectionKind::Consecutive5xx)
    };
    assert_eq!([429, 503, 500, 404].map(streak_after), [1, 1, 0, 0]);
    assert_eq!(policy("other.example").classifier, None, "an empty list says nothing");
}

fn port_listen(text: &str, carries: Carries) -> PortListen {
    let (tls, text) = text.strip_prefix("tls://").map_or((false, text), |rest| (true, rest));
    let (address, target) = text.split_once('=').unwrap();
    let (host, port) = target.rsplit_once(':').unwrap();
    PortListen {
        address: address.parse().unwrap(),
        host: host.into(),
        port: port.parse().unwrap(),
        carries,
        tls,
    }
}

fn command_line(yaml: &str) -> (Workload, ListenPlan) {
    let mut workload = Workload::default();
    let mut plan = ListenPlan::outbound(vec!["127.0.0.1:15001".parse().unwrap()]);
    let (mut to, mut host, mut takes) = (Vec::new(), None, fuseboard_config::Takes::Http1);
    for (key, value) in yaml.lines().filter_map(|line| line.strip_prefix("#! ")?.split_once(' ')) {
        match key {
            "namespace" => workload.namespace = value.into(),
            "label" => {
                let (key, value) = value.split_once('=').unwrap();
                workload.labels.insert(key.into(), value.into());
            }
            "listen" => plan.listen = value.split(' ').map(|address| address.parse().unwrap()).collect(),
            "to" => to.push(value.parse().unwrap()),
            "host" => host = Some(value.into()),
            "tcp" => takes = fuseboard_config::Takes::Bytes,
            "accept-proxy" => plan.accept_proxy = true,
            "listen-tcp" => plan.ports.push(port_listen(value, Carries::Bytes)),
            "listen-service" => plan.ports.push(port_listen(value, Carries::Declared)),
            "timeout" => plan.timeout = Some(parse_duration(value).unwrap()),
            other => panic!("unknown key {other}"),
        }
    }
    if !to.is_empty() {
        plan.destination = Destination::Fixed { to, host, takes };
    }
    (workload, plan)
}
