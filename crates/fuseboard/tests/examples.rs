//! Every folder of examples/ and every rule of the demo loads, resolves and lints without an error or warning.

use std::path::{Path, PathBuf};

use fuseboard_config::{Carries, Destination, ListenPlan, PortListen, Severity, Workload};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn check(path: &Path, plan: &ListenPlan) {
    let workload = Workload::default();
    let (resources, mut found) = fuseboard_config::load_paths(&[path.to_owned()]);
    let (snapshot, problems) = fuseboard_config::resolve(&resources, &workload, plan, 1);
    found.append(problems);
    if plan.destination == Destination::ByHost {
        found.append(fuseboard_config::analyze(&resources, &workload));
    }
    let bad: Vec<_> = found.iter().filter(|one| one.severity > Severity::Info).collect();
    assert!(bad.is_empty(), "{}: {bad:#?}", path.display());
    assert!(!snapshot.clusters.is_empty(), "{} makes no cluster", path.display());
}

#[test]
fn each_example_is_clean() {
    let by_host = ListenPlan::outbound(vec!["127.0.0.1:0".parse().unwrap()]);
    for folder in [
        "breaker",
        "detectors",
        "endpoint-breaker",
        "fallback",
        "httpbin",
        "outlier",
        "service-entry",
        "time-outs",
        "tls",
    ] {
        check(&root().join("examples").join(folder), &by_host);
    }
    let tcp = PortListen {
        address: "127.0.0.1:0".parse().unwrap(),
        host: "postgres".into(),
        port: 5432,
        carries: Carries::Bytes,
        tls: false,
    };
    check(&root().join("examples/tcp"), &ListenPlan { ports: vec![tcp], ..by_host });
    let fixed =
        ListenPlan::fixed(vec!["127.0.0.1:0".parse().unwrap()], vec!["127.0.0.1:8080".parse().unwrap()]);
    for folder in ["examples/one-service", "deploy/compose/rules"] {
        check(&root().join(folder), &fixed);
    }
}

#[test]
fn the_rules_of_the_demo_are_among_the_examples() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    assert_eq!(read("examples/httpbin/rule.yaml"), read("crates/fuseboard/src/cmd/demo/pool.yaml"));
    assert_eq!(read("examples/outlier/rule.yaml"), read("crates/fuseboard/src/cmd/demo/outlier.yaml"));
}
