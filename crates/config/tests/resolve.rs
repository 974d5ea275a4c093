//! Resources to a snapshot: each `tests/resolve/<name>.in.yaml` gives the text of `<name>.out.txt`.
//!
//! Comments of the form `#! key value` say what the command line says: `namespace`, `label`, `listen`, `to`, `host`,
//! `timeout`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod golden;
mod snapshot_text;

use std::fs;
use std::path::Path;

use fuseboard_api::parse_duration;
use fuseboard_config::{Destination, ListenPlan, SourceText, Workload, load, resolve};
use golden::assert_golden;

#[test]
fn resources_give_listeners_routes_clusters_and_diagnostics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolve");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".in.yaml").map(str::to_owned))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        let yaml = fs::read_to_string(folder.join(format!("{name}.in.yaml"))).unwrap();
        let (workload, plan) = command_line(&yaml);
        let (resources, _) = load(&[SourceText::new(format!("{name}.yaml"), yaml)]);
        assert!(resources.rejected.is_empty(), "{name}: {:?} rejected", resources.rejected);
        let (snapshot, diagnostics) = resolve(&resources, &workload, &plan, 1);
        assert_golden(&format!("resolve/{name}.out.txt"), &snapshot_text::render(&snapshot, &diagnostics));
    }
}

fn command_line(yaml: &str) -> (Workload, ListenPlan) {
    let mut workload = Workload::default();
    let mut plan = ListenPlan::outbound(vec!["127.0.0.1:15001".parse().unwrap()]);
    let (mut to, mut host) = (Vec::new(), None);
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
            "timeout" => plan.timeout = Some(parse_duration(value).unwrap()),
            other => panic!("unknown key {other}"),
        }
    }
    if !to.is_empty() {
        plan.destination = Destination::Fixed { to, host };
    }
    (workload, plan)
}
