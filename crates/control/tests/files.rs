//! Edits of a folder of rules: what is good applies, what is broken changes nothing, and every change is noticed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fuseboard_config::{ListenPlan, Severity, Workload};
use fuseboard_control::{FileSource, Next, SETTLE, Update, watch};
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

/// Something was noticed, and there is nothing to look at again.
fn told(noticed: &mpsc::Sender<()>) -> Next {
    noticed.send(()).unwrap();
    Next::default()
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
fn rules_of_a_file_that_is_emptied_and_refilled_slowly_never_vanish() {
    let folder = folder();
    let mut source = source(folder.path());
    let now = Instant::now();
    source.read();

    write(&folder, "rule.yaml", "");
    let emptied = source.follow(now);
    assert!(emptied.update.is_none(), "what is in force stays: {:?}", emptied.update);
    assert_eq!(emptied.again, Some(now + SETTLE));
    // Half a file is a whole rule without limits, which is why what it says does not matter.
    let whole = rule("70");
    write(&folder, "rule.yaml", &whole[..whole.find("  trafficPolicy").unwrap()]);
    assert!(source.follow(now + SETTLE / 2).update.is_none());
    write(&folder, "rule.yaml", &whole);
    assert!(source.follow(now + SETTLE).update.is_none());
    let update = source.follow(now + SETTLE * 2).update.unwrap();
    assert_eq!((connections(&update), update.snapshot.version), (Some(70), 2));
}

#[test]
fn a_file_that_was_emptied_for_good_is_empty_in_the_end_and_at_once_when_asked() {
    let folder = folder();
    let now = Instant::now();
    let mut source = source(folder.path());
    source.read();
    write(&folder, "rule.yaml", "");
    let again = source.follow(now).again.unwrap();
    let update = source.follow(again).update.unwrap();
    assert_eq!(connections(&update), Some(u32::MAX));

    write(&folder, "service.yaml", "");
    assert!(source.follow(again).update.is_none());
    assert_eq!(connections(&source.read()), None);
}

#[test]
fn what_changed_nothing_gives_no_update() {
    let folder = folder();
    let mut source = source(folder.path());
    source.read();
    write(&folder, ".rule.yaml.swp", "an editor's");
    write(&folder, "rule.yaml", &rule("7"));
    assert!(source.follow(Instant::now()).update.is_none());
}

#[test]
fn a_watcher_looks_again_when_a_save_has_settled() {
    let folder = folder();
    let mut source = source(folder.path());
    source.read();
    let (applied, updates) = mpsc::channel();
    let _watcher = watch(&[folder.path().to_owned()], &BTreeSet::new(), move |now| {
        let followed = source.follow(now);
        followed.update.into_iter().for_each(|update| applied.send(update).unwrap());
        Next { again: followed.again, files: source.files() }
    })
    .unwrap();
    write(&folder, "rule.yaml", "");
    // Nothing else happens to the folder.
    let update = updates.recv_timeout(PATIENCE).expect("the emptied file");
    assert_eq!(connections(&update), Some(u32::MAX));
}

#[test]
fn a_problem_is_new_once_and_gone_once_wherever_its_line_is() {
    let folder = folder();
    let mut source = source(folder.path());
    assert!(source.read().new.is_empty());
    let odd = rule("1").replace("host: httpbin", "host: htpbin").replace("{name: httpbin}", "{name: odd}");
    write(&folder, "odd.yaml", &odd);
    let first = source.read();
    assert!(first.new.iter().any(|one| one.message.contains("htpbin")), "{:?}", first.new);

    write(&folder, "odd.yaml", &format!("# a comment\n{odd}"));
    let moved = source.read();
    assert_eq!((moved.new.len(), moved.gone.len()), (0, 0), "{:?}", moved.new);
    assert_eq!(moved.diagnostics.len(), first.diagnostics.len(), "all of them are still told");

    std::fs::remove_file(folder.path().join("odd.yaml")).unwrap();
    let mended = source.read();
    assert_eq!((mended.new.len(), mended.gone.len()), (0, first.new.len()));
}

#[test]
fn edits_replacements_new_files_and_link_swaps_are_noticed() {
    let folder = folder();
    let (noticed, changes) = mpsc::channel();
    let watcher = watch(&[folder.path().to_owned()], &BTreeSet::new(), move |_| told(&noticed)).unwrap();
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
fn a_reload_while_edits_arrive_reads_once_at_a_time_and_ends_with_the_last_edit() {
    let folder = folder();
    let mut source = source(folder.path());
    assert_eq!(connections(&source.read()), Some(7));
    let (applied, updates) = mpsc::channel();
    let watcher = watch(&[folder.path().to_owned()], &BTreeSet::new(), move |_| {
        applied.send(source.read()).unwrap();
        Next::default()
    })
    .unwrap();
    for bound in 8..=20 {
        write(&folder, "rule.yaml", &rule(&bound.to_string()));
        watcher.reload();
    }
    let mut version = 1;
    loop {
        let update = updates.recv_timeout(PATIENCE).expect("the last edit");
        assert_eq!(update.snapshot.version, version + 1, "no reading is lost or made twice");
        version += 1;
        if connections(&update) == Some(20) {
            break;
        }
    }
    // Nobody calls back once the watcher is gone.
    drop(watcher);
    write(&folder, "rule.yaml", &rule("21"));
    assert!(updates.iter().all(|update| connections(&update) == Some(20)));
}

#[test]
fn a_rule_for_a_host_that_nobody_knows_is_told_when_routing_by_host() {
    let folder = folder();
    write(&folder, "odd.yaml", &rule("1").replace("host: httpbin", "host: htpbin"));
    let update = source(folder.path()).read();
    let unknown = update.diagnostics.iter().find(|one| one.message.contains("htpbin")).unwrap();
    assert_eq!((unknown.severity, update.held_back), (Severity::Warning, false));

    let plan = ListenPlan::fixed(vec!["127.0.0.1:0".parse().unwrap()], vec!["127.0.0.1:1".parse().unwrap()]);
    let mut fixed = FileSource::new(vec![folder.path().join("odd.yaml")], Workload::default(), plan);
    let update = fixed.read();
    assert!(
        update.diagnostics.iter().all(|one| one.severity < Severity::Warning),
        "{:?}",
        update.diagnostics
    );
}

#[test]
fn a_folder_that_comes_back_is_followed_again() {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("rules");
    std::fs::create_dir(&path).unwrap();
    let (noticed, changes) = mpsc::channel();
    let _watcher = watch(std::slice::from_ref(&path), &BTreeSet::new(), move |_| told(&noticed)).unwrap();
    std::fs::remove_dir(&path).unwrap();
    changes.recv_timeout(PATIENCE).expect("its end");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("rule.yaml"), rule("8")).unwrap();
    changes.recv_timeout(PATIENCE).expect("its return");
}
