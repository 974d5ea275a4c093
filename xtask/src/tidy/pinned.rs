//! Every row of `docs/differences.md` names the tests that pin it; here somebody looks whether there are any, and whether every
//! test that names a row means one that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Finding;

/// The page whose table's last column names tests.
const PAGE: &str = "docs/differences.md";

/// What was found so far on the page and in sources.
#[derive(Default)]
pub(super) struct Pinned {
    /// Line of the page on which a code stands first.
    wanted: BTreeMap<String, usize>,
    /// Codes in names of functions, with one that has it.
    found: BTreeMap<String, (PathBuf, usize)>,
}

impl Pinned {
    /// Takes one file into account.
    pub(super) fn look_at(&mut self, path: &Path, text: &str) {
        if path == Path::new(PAGE) {
            for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| line.starts_with("| D")) {
                for code in last_column(line) {
                    self.wanted.entry(code).or_insert(number);
                }
            }
        }
        if path.extension().is_some_and(|extension| extension == "rs") {
            for (number, line) in (1..).zip(text.lines()) {
                for code in codes_of_function(line) {
                    self.found.entry(code).or_insert_with(|| (path.to_owned(), number));
                }
            }
        }
    }

    /// Codes without a test, and tests for rows that are not there.
    pub(super) fn findings(self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (code, line) in &self.wanted {
            if !self.found.contains_key(code) {
                let message = format!("no test has `{code}` in its name");
                findings.push(Finding { path: PAGE.into(), line: *line, message });
            }
        }
        let rows: BTreeSet<_> = self.wanted.keys().collect();
        for (code, (path, line)) in self.found.iter().filter(|(code, _)| code.starts_with('d')) {
            if !rows.contains(code) {
                let message = format!("no row of {PAGE} is pinned by `{code}`");
                findings.push(Finding { path: path.clone(), line: *line, message });
            }
        }
        findings
    }
}

/// The codes in the last cell of a row.
fn last_column(row: &str) -> impl Iterator<Item = String> {
    let cell = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
    cell.split(['`', ' ', ',']).filter(|word| is_code(word)).map(str::to_owned)
}

/// The codes at the front of a test's name, `d07_p45_an_ejection_survives`, or of the entry that a macro makes a test of.
fn codes_of_function(line: &str) -> impl Iterator<Item = String> {
    let name = line.trim_start().trim_start_matches("pub(super) ").trim_start_matches("async ");
    let name = name.strip_prefix("fn ").unwrap_or_default();
    name.split('_').take_while(|word| is_code(word)).map(str::to_owned)
}

/// `d07` or `p45`.
fn is_code(word: &str) -> bool {
    let digits = word.strip_prefix(['d', 'p']).unwrap_or_default();
    digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str =
        "| D7 | Changing a cluster forgets ejections | State belongs to the endpoint | | `d07`, `p45` |";

    fn messages(page: &str, source: &str) -> Vec<String> {
        let mut pinned = Pinned::default();
        pinned.look_at(Path::new(PAGE), page);
        pinned.look_at(Path::new("a.rs"), source);
        pinned.findings().into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_row_is_pinned_by_a_test_that_begins_with_its_codes() {
        assert_eq!(messages(ROW, "    async fn d07_p45_an_ejection_survives() {"), [""; 0]);
        assert_eq!(messages(ROW, "fn d07_x() {"), ["no test has `p45` in its name"]);
        assert_eq!(messages(ROW, "fn of_d07_and_p45() {").len(), 2);
    }

    #[test]
    fn a_test_of_no_row_is_found() {
        assert_eq!(
            messages(ROW, "fn d07_x() {}\nfn p45_x() {}\nfn d99_x() {}"),
            ["no row of docs/differences.md is pinned by `d99`"]
        );
    }
}
