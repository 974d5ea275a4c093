//! What the compiler does not check: who may depend on whom, how long things get, what they are called, and whether the
//! tests that documentation names exist.
//! Every finding is printed, none stops at the first.

mod edges;
mod names;
mod pinned;
mod size;

use std::fmt;
use std::path::PathBuf;

use anyhow::bail;

use crate::repository;

/// One thing to mend: where, and what.
struct Finding {
    path: PathBuf,
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

/// Checks the whole repository.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut findings = edges::check(&repository::packages()?);
    let mut pinned = pinned::Pinned::default();
    for path in repository::files()? {
        let Ok(text) = std::fs::read_to_string(repository::root().join(&path)) else { continue };
        findings.extend(names::check(&path, &text));
        pinned.look_at(&path, &text);
        if path.extension().is_some_and(|extension| extension == "rs") {
            findings.extend(size::check(&path, &text));
        }
    }
    findings.extend(pinned.findings());
    report(&findings)
}

#[expect(clippy::print_stdout, reason = "the findings are this tool's output")]
fn report(findings: &[Finding]) -> anyhow::Result<()> {
    for finding in findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: nothing to mend");
        return Ok(());
    }
    bail!("tidy: {} to mend", findings.len())
}
