//! Each code has a file that it is about and one that it is not about.

mod golden;

use std::fs;
use std::path::{Path, PathBuf};

use fuseboard_config::diagnostic::render::{Look, text};
use fuseboard_config::{Code, Diagnostics, SourceText, Workload, analyze, load};
use golden::assert_golden;

/// Codes that no content of a file can show, or that `resolve` shows.
const ELSEWHERE: [Code; 2] = [Code::Unreadable, Code::TooLarge];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/analyze")
}

/// What `fuseboard analyze` says of a file, apart from what `resolve` adds.
fn findings(code: Code, file: &str) -> Diagnostics {
    let path = folder().join(code.entry().id).join(file);
    let content = fs::read(&path);
    assert!(content.is_ok(), "{} is missing", path.display());
    let (resources, mut diagnostics) = load(&[SourceText::new(file, content.unwrap_or_default())]);
    diagnostics.append(analyze(&resources, &Workload::default()));
    diagnostics.sort();
    diagnostics
}

fn codes_with_files() -> impl Iterator<Item = Code> {
    let resolving = |code: &Code| code.entry().id.starts_with("FB2");
    Code::ALL.iter().copied().filter(move |code| !ELSEWHERE.contains(code) && !resolving(code))
}

#[test]
fn the_bad_file_of_each_code_shows_it_with_place_and_help() {
    for code in codes_with_files() {
        let found = findings(code, "bad.yaml");
        assert!(
            found.iter().any(|diagnostic| diagnostic.code == code),
            "{code} is not found in its bad file"
        );
        let look = Look { color: false, unicode: true };
        let report: String = found.iter().map(|diagnostic| text(diagnostic, look)).collect();
        assert_golden(&format!("analyze/{code}/bad.out.txt"), &report);
    }
}

#[test]
fn a_resource_with_a_rejecting_problem_is_named_and_not_used() {
    // Of what is no YAML or no resource, nobody knows the name.
    let nameless = [Code::Syntax, Code::NotAResource];
    for code in codes_with_files().filter(|code| code.entry().rejects && !nameless.contains(code)) {
        let content = fs::read(folder().join(code.entry().id).join("bad.yaml")).unwrap();
        let (resources, diagnostics) = load(&[SourceText::new("bad.yaml", content)]);
        for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.code == code) {
            let id = diagnostic.resource.as_ref();
            assert!(id.is_some_and(|id| resources.rejected.contains(id)), "{diagnostic}");
        }
    }
}

#[test]
fn the_good_file_of_each_code_is_clean() {
    for code in codes_with_files() {
        let found = findings(code, "good.yaml");
        assert!(found.is_empty(), "{code}: {:#?}", found.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
}

#[test]
fn each_folder_belongs_to_a_code() {
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(codes_with_files().any(|code| code.entry().id == name), "no code {name}");
    }
}
