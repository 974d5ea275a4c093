//! Mistakes that people make, one folder each under `tests/mistakes`: `bad.yaml` with the mistake (its first line says what
//! it is), `expected.txt` with what is found and where, `good.yaml` with what was meant.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod golden;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use fuseboard_config::{Diagnostics, ListenPlan, Place, SourceText, Workload, analyze, load, resolve};
use golden::assert_golden;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes")
}

fn mistakes() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// All that `fuseboard analyze` says of a file.
fn findings(name: &str, file: &str) -> Diagnostics {
    let text = fs::read(folder().join(name).join(file)).unwrap();
    let workload = Workload::default();
    let (resources, mut found) = load(&[SourceText::new(file, text)]);
    let (_, problems) = resolve(&resources, &workload, &ListenPlan::outbound(Vec::new()), 1);
    found.append(problems);
    found.append(analyze(&resources, &workload));
    found.sort();
    found
}

#[test]
fn p67_every_known_mistake_is_found_at_its_line_with_what_to_write_instead() {
    let names = mistakes();
    assert!(names.len() >= 30, "{}", names.len());
    for name in names {
        let found = findings(&name, "bad.yaml");
        assert!(!found.is_empty(), "{name}: nothing is found");
        let mut told = String::new();
        for one in &found {
            let place = one.at.as_ref().map(Place::location);
            assert!(place.is_some() && one.help.is_some(), "{name}: {one}");
            let _ =
                writeln!(told, "{} {}", one.code, place.map(|place| place.to_string()).unwrap_or_default());
        }
        assert_golden(&format!("mistakes/{name}/expected.txt"), &told);
    }
}

#[test]
fn p67_what_was_meant_gives_no_finding_at_all() {
    for name in mistakes() {
        let found = findings(&name, "good.yaml");
        assert!(found.is_empty(), "{name}: {:#?}", found.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}
