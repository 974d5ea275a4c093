//! Certificates of listeners that are replaced while the proxy runs: what is good applies, what is broken changes nothing, and a
//! change is noticed wherever the file lies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use fuseboard_config::{ListenPlan, ListenTls, Workload};
use fuseboard_control::{FileSource, Next, Update, watch};
use fuseboard_testkit::tls::{Authority, Pair, Validity};
use fuseboard_tls::TlsVersion;
use tempfile::TempDir;

/// Longer than any change takes to be noticed, so that a failure is told apart from a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rules, and elsewhere a certificate with its key.
struct Scene {
    rules: TempDir,
    certificates: TempDir,
    authority: Authority,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            rules: TempDir::new().unwrap(),
            certificates: TempDir::new().unwrap(),
            authority: Authority::new("ours"),
        };
        scene.put(&scene.pair(1));
        scene
    }

    fn pair(&self, serial: u64) -> Pair {
        self.authority.issue_with(&["a.test"], Validity::Now, serial)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.certificates.path().join(name)
    }

    fn put(&self, pair: &Pair) {
        std::fs::write(self.file("tls.crt"), &pair.certificate).unwrap();
        std::fs::write(self.file("tls.key"), &pair.key).unwrap();
    }

    fn source(&self) -> FileSource {
        self.source_of(vec![(self.file("tls.crt"), self.file("tls.key"))], Vec::new())
    }

    fn source_of(&self, pairs: Vec<(PathBuf, PathBuf)>, folders: Vec<PathBuf>) -> FileSource {
        let tls = ListenTls {
            listeners: BTreeSet::from([0]),
            pairs,
            folders,
            client_ca: None,
            min_version: TlsVersion::V1_2,
        };
        let to = vec!["127.0.0.1:9".parse().unwrap()];
        let plan =
            ListenPlan { tls: Some(tls), ..ListenPlan::fixed(vec!["127.0.0.1:0".parse().unwrap()], to) };
        FileSource::new(vec![self.rules.path().to_owned()], Workload::default(), plan)
    }
}

/// The serial numbers of all certificates that the listener shows, in their order.
fn all_shown(update: &Update) -> Vec<String> {
    let tls = update.snapshot.listeners.first().and_then(|listener| listener.tls.as_ref());
    let credentials = tls.iter().flat_map(|tls| &tls.credentials);
    credentials.map(|credential| credential.leaf().facts.serial.clone()).collect()
}

/// Calls `change` while `source` is watched, and waits until these are shown.
fn until_shown(scene: &Scene, mut source: FileSource, change: impl FnOnce(), wanted: &[&str]) {
    source.read();
    until(scene, source, change, |update| all_shown(update) == wanted);
}

/// Calls `change` while `source`, which has been read, is watched, and waits for such an update.
fn until(scene: &Scene, mut source: FileSource, change: impl FnOnce(), is_it: impl Fn(&Update) -> bool) {
    let files = source.files();
    let (applied, updates) = mpsc::channel();
    let _watcher = watch(&[scene.rules.path().to_owned()], &files, move |now| {
        let followed = source.follow(now);
        followed.update.into_iter().for_each(|update| applied.send(update).unwrap());
        Next { again: followed.again, files: source.files() }
    })
    .unwrap();
    change();
    loop {
        let update = updates.recv_timeout(PATIENCE).unwrap();
        if is_it(&update) {
            return;
        }
    }
}

fn put_pair(folder: &Path, name: &str, pair: &Pair) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(format!("{name}.crt")), &pair.certificate).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), &pair.key).unwrap();
}

fn link(to: &str, path: &Path) {
    let new = path.with_extension("new");
    std::os::unix::fs::symlink(to, &new).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[test]
fn a_pair_named_through_a_folder_link_is_followed_when_the_link_is_swapped() {
    let scene = Scene::new();
    put_pair(&scene.file("one"), "tls", &scene.pair(5));
    put_pair(&scene.file("two"), "tls", &scene.pair(6));
    let live = scene.file("live");
    link("one", &live);
    let source = scene.source_of(vec![(live.join("tls.crt"), live.join("tls.key"))], Vec::new());
    until_shown(&scene, source, || link("two", &live), &["06"]);
}

#[test]
fn pairs_of_a_folder_come_and_go_and_the_folder_itself_may_be_swapped() {
    let scene = Scene::new();
    let folder = scene.file("one");
    put_pair(&folder, "b", &scene.pair(2));
    put_pair(&folder.join("z"), "tls", &scene.pair(3));
    let live = scene.file("live");
    link("one", &live);
    let source = || scene.source_of(Vec::new(), vec![live.clone()]);
    assert_eq!(all_shown(&source().read()), ["02", "03"]);
    until_shown(&scene, source(), || put_pair(&folder, "a", &scene.pair(1)), &["01", "02", "03"]);
    until_shown(&scene, source(), || put_pair(&folder.join("z"), "tls", &scene.pair(4)), &["01", "02", "04"]);
    until_shown(
        &scene,
        source(),
        || put_pair(&folder.join("zz"), "x", &scene.pair(5)),
        &["01", "02", "04", "05"],
    );
    until_shown(&scene, source(), || std::fs::remove_dir_all(folder.join("z")).unwrap(), &["01", "02", "05"]);
    put_pair(&scene.file("two"), "c", &scene.pair(7));
    until_shown(&scene, source(), || link("two", &live), &["07"]);
}

#[test]
fn what_is_wrong_in_a_folder_is_told_at_once_and_the_other_pairs_serve() {
    let scene = Scene::new();
    let folder = scene.file("all");
    put_pair(&folder, "good", &scene.pair(2));
    put_pair(&folder, "torn", &Pair { certificate: String::new(), key: String::new() });
    std::fs::write(folder.join("half.crt"), "").unwrap();
    let source = || scene.source_of(Vec::new(), vec![folder.clone()]);
    let update = source().read();
    assert_eq!(all_shown(&update), ["02"]);
    let told: Vec<_> = update.diagnostics.iter().map(|problem| problem.message.clone()).collect();
    assert!(told.iter().any(|told| told.ends_with("half.crt has no half.key beside it")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("torn.crt")), "{told:?}");
    std::fs::remove_file(folder.join("good.crt")).unwrap();
    assert!(source().read().snapshot.listeners.is_empty(), "nothing to show, and no plain text instead");
}

/// The serial number of the certificate that the listener shows; `None`: there is no listener.
fn shown(update: &Update) -> Option<String> {
    let listener = update.snapshot.listeners.first()?;
    Some(listener.tls.as_ref()?.credentials[0].leaf().facts.serial.clone())
}

#[test]
fn a_new_certificate_applies() {
    let scene = Scene::new();
    let mut source = scene.source();
    assert_eq!(shown(&source.read()).as_deref(), Some("01"));
    scene.put(&scene.pair(2));
    let update = source.read();
    assert_eq!((shown(&update).as_deref(), update.held_back), (Some("02"), false));
}

#[test]
fn a_broken_one_is_reported_and_the_last_good_one_stays() {
    let scene = Scene::new();
    let mut source = scene.source();
    source.read();
    let (next, other) = (scene.pair(2), scene.pair(3));
    let torn = &next.certificate[..next.certificate.len() / 2];
    for (certificate, key) in [
        (torn, &*next.key),
        ("", &*next.key),
        (&*next.certificate, ""),
        (&*next.certificate, &*other.key),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &*next.key),
    ] {
        scene.put(&Pair { certificate: certificate.to_owned(), key: key.to_owned() });
        let update = source.read();
        assert_eq!(shown(&update).as_deref(), Some("01"), "{certificate}");
        assert!(update.held_back, "{certificate}");
    }
    std::fs::remove_file(scene.file("tls.key")).unwrap();
    assert_eq!(shown(&source.read()).as_deref(), Some("01"), "a file that is gone");
    scene.put(&next);
    let update = source.read();
    assert_eq!((shown(&update).as_deref(), update.held_back), (Some("02"), false));
}

#[test]
fn a_listener_whose_certificate_was_never_good_is_not_opened_and_is_when_it_becomes_good() {
    let scene = Scene::new();
    std::fs::write(scene.file("tls.crt"), "").unwrap();
    let mut source = scene.source();
    let update = source.read();
    assert!(update.snapshot.listeners.is_empty(), "not in plain text instead");
    scene.put(&scene.pair(4));
    assert_eq!(shown(&source.read()).as_deref(), Some("04"));
}

#[test]
fn a_pair_behind_a_link_that_is_swapped_is_noticed_and_taken_whole() {
    let scene = Scene::new();
    let place = |version: &str, pair: &Pair| {
        std::fs::create_dir(scene.file(version)).unwrap();
        std::fs::write(scene.file(version).join("tls.crt"), &pair.certificate).unwrap();
        std::fs::write(scene.file(version).join("tls.key"), &pair.key).unwrap();
        std::os::unix::fs::symlink(version, scene.file("..new")).unwrap();
        std::fs::rename(scene.file("..new"), scene.file("..data")).unwrap();
    };
    // A Secret volume: the files are links through `..data`, which is swapped for another folder.
    place("..one", &scene.pair(5));
    for name in ["tls.crt", "tls.key"] {
        std::fs::remove_file(scene.file(name)).unwrap();
        std::os::unix::fs::symlink(Path::new("..data").join(name), scene.file(name)).unwrap();
    }
    let mut source = scene.source();
    assert_eq!(shown(&source.read()).as_deref(), Some("05"));
    let swap = || place("..two", &scene.pair(6));
    until(&scene, source, swap, |update| {
        assert!(!update.held_back, "never half of each");
        shown(update).as_deref() == Some("06")
    });
}
