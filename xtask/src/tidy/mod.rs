//! What the compiler does not check: who may depend on whom, how long things get, and what they are called.
//! Every finding is printed, none stops at the first.

mod edges;
mod names;
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
    for path in repository::files()? {
        let Ok(text) = std::fs::read_to_string(repository::root().join(&path)) else { continue };
        findings.extend(names::check(&path, &text));
        if path.extension().is_some_and(|extension| extension == "rs") {
            findings.extend(size::check(&path, &text));
        }
    }
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
