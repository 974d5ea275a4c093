//! Edits of a folder of rules: what is good applies, what is broken changes nothing, and every change is noticed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use fuseboard_config::{ListenPlan, Workload};
use fuseboard_control::{FileSource, Update, watch};
use tempfile::TempDir;

/// Longer than any change takes to be noticed, so that a failure is told apart from a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: httpbin}\nspec: {ports: [{name: http, port: 8000}]}\n---\n\
    apiVersion: v1\nkind: Endpoints\nmetadata: {name: httpbin}\nsubsets: [{addresses: [{ip: 127.0.0.1}], ports: [{name: http, port: 8080}]}]\n";

fn rule(connections: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: httpbin}}\n\
         spec:\n  host: httpbin\n  trafficPolicy:\n    connectionPool:\n      tcp: {{maxConnections: {connections}}}\n"
    )
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    write(&folder, "service.yaml", SERVICE);
    write(&folder, "rule.yaml", &rule("7"));
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).unwrap();
}

fn source(path: &Path) -> FileSource {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    FileSource::new(vec![path.to_owned()], Workload::default(), ListenPlan::outbound(vec![listen]))
}

fn connections(update: &Update) -> Option<u32> {
    let cluster =
        update.snapshot.clusters.iter().find(|cluster| cluster.service.name.as_ref() == "httpbin")?;
    Some(cluster.thresholds.default.max_connections)
}

#[test]
fn an_edit_applies() {
    let folder = folder();
    let mut source = source(folder.path());
    assert_eq!(connections(&source.read()), Some(7));
    write(&folder, "rule.yaml", &rule("8"));
    let update = source.read();
    assert_eq!((connections(&update), update.snapshot.version, update.held_back), (Some(8), 2, false));
}

#[test]
fn a_broken_edit_is_reported_and_the_last_good_rule_stays() {
    let folder = folder();
    let mut source = source(folder.path());
    source.read();
    for broken in [rule("many"), "spec: [".to_owned(), rule("-1")] {
        write(&folder, "rule.yaml", &broken);
        let update = source.read();
        assert_eq!(connections(&update), Some(7), "{broken}");
        assert!(update.held_back && update.has_errors(), "{broken}");
    }
    write(&folder, "rule.yaml", &rule("9"));
    let update = source.read();
    assert_eq!((connections(&update), update.held_back), (Some(9), false));
}

#[test]
fn a_broken_file_does_not_hold_back_the_others() {
    let folder = folder();
    let mut source = source(folder.path());
    source.read();
    write(&folder, "service.yaml", "kind: [");
    write(&folder, "rule.yaml", &rule("8"));
    assert_eq!(connections(&source.read()), Some(8));
}

#[test]
fn a_folder_that_disappears_leaves_the_last_good_rules() {
    let folder = folder();
    let mut source = source(folder.path());
    source.read();
    std::fs::remove_dir_all(folder.path()).unwrap();
    let update = source.read();
    assert_eq!((connections(&update), update.held_back), (Some(7), true));
}

#[test]
fn a_rule_that_is_deleted_is_gone() {
    let folder = folder();
    let mut source = source(folder.path());
    source.read();
    std::fs::remove_file(folder.path().join("rule.yaml")).unwrap();
    assert_eq!(connections(&source.read()), Some(u32::MAX));
}

#[test]
fn edits_replacements_new_files_and_link_swaps_are_noticed() {
    let folder = folder();
    let (noticed, changes) = mpsc::channel();
    let watcher = watch(&[folder.path().to_owned()], move || noticed.send(()).unwrap()).unwrap();
    let path = |name: &str| folder.path().join(name);

    write(&folder, "rule.yaml", &rule("8"));
    changes.recv_timeout(PATIENCE).expect("an edit");

    write(&folder, "rule.tmp", &rule("9"));
    std::fs::rename(path("rule.tmp"), path("rule.yaml")).unwrap();
    changes.recv_timeout(PATIENCE).expect("a replacement, as editors do it");

    // A ConfigMap volume: files are links through `..data`, which is swapped for another folder.
    std::fs::create_dir(path("..one")).unwrap();
    std::os::unix::fs::symlink("..one", path("..new")).unwrap();
    std::fs::rename(path("..new"), path("..data")).unwrap();
    changes.recv_timeout(PATIENCE).expect("a swapped link");

    watcher.reload();
    changes.recv_timeout(PATIENCE).expect("a reload that was asked for");
}

#[test]
fn a_folder_that_comes_back_is_followed_again() {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("rules");
    std::fs::create_dir(&path).unwrap();
    let (noticed, changes) = mpsc::channel();
    let _watcher = watch(std::slice::from_ref(&path), move || noticed.send(()).unwrap()).unwrap();
    std::fs::remove_dir(&path).unwrap();
    changes.recv_timeout(PATIENCE).expect("its end");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("rule.yaml"), rule("8")).unwrap();
    changes.recv_timeout(PATIENCE).expect("its return");
}
