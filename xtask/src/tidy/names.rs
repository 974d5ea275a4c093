//! Names that say nothing, marks of unfinished work, and things that must not be published.

use std::path::Path;

use super::Finding;

/// File names that name no noun.
const EMPTY_NAMES: &[&str] =
    &["types.rs", "utils.rs", "util.rs", "config.rs", "helpers.rs", "helper.rs", "common.rs"];

/// Files whose text quotes the marks on purpose.
const EXEMPT: &[&str] = &["xtask/src/tidy/names.rs", "Cargo.lock"];

/// In Rust source: marks of unfinished work or of a silenced check.
const MARKS: &[(&str, &str)] = &[
    ("todo!(", "unfinished code"),
    ("unimplemented!(", "unfinished code"),
    ("TODO", "unfinished work belongs in an issue"),
    ("FIXME", "unfinished work belongs in an issue"),
    ("XXX", "unfinished work belongs in an issue"),
    ("#[ignore", "a test that does not run is worse than none"),
    ("allow(dead_code", "delete what is dead"),
    ("allow(clippy::too_many_lines", "split the function"),
    ("allow(clippy::too_many_arguments", "name the arguments in a struct"),
];

/// Anywhere: what belongs to one machine only.
const PRIVATE: &[&str] = &["/home/", "/root/", "crates.io/", "pypi.org", "registry.npmjs", "deb.debian.org"];

/// Findings about the name and the text of one file.
pub(super) fn check(path: &Path, text: &str) -> Vec<Finding> {
    let finding = |line, message| Finding { path: path.to_owned(), line, message };
    let mut findings = Vec::new();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if EMPTY_NAMES.contains(&name) {
        findings.push(finding(1, format!("`{name}` says nothing: name the file after its noun")));
    }
    if EXEMPT.iter().any(|exempt| path == Path::new(exempt)) {
        return findings;
    }
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    for (index, line) in text.lines().enumerate() {
        for (mark, reason) in MARKS.iter().filter(|_| rust) {
            if line.contains(mark) {
                findings.push(finding(index + 1, format!("`{mark}`: {reason}")));
            }
        }
        for private in PRIVATE.iter().filter(|private| line.contains(**private)) {
            findings.push(finding(index + 1, format!("`{private}` belongs to one machine or registry")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_count_in_source_and_private_names_everywhere() {
        assert_eq!(check(Path::new("a.rs"), "fn f() { todo!() }").len(), 1);
        assert_eq!(check(Path::new("a.md"), "todo!() is a macro").len(), 0);
        assert_eq!(check(Path::new("a.md"), "see /home/me/x").len(), 1);
        assert_eq!(check(Path::new("crates/x/src/utils.rs"), "").len(), 1);
    }
}
