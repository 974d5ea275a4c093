//! The one table of an interop run: what was compared, both values, and whether that is as it should be.

use std::fmt;

enum Verdict {
    Same,
    /// Different on purpose: the row of docs/differences.md.
    Listed(&'static str),
    Wrong,
    Skipped(String),
}

struct Row {
    what: String,
    theirs: String,
    ours: String,
    verdict: Verdict,
}

/// Comparisons in the order made.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Both must say the same.
    pub(super) fn same(
        &mut self,
        what: impl Into<String>,
        theirs: impl fmt::Display,
        ours: impl fmt::Display,
    ) {
        let (theirs, ours) = (theirs.to_string(), ours.to_string());
        let verdict = if theirs == ours { Verdict::Same } else { Verdict::Wrong };
        self.rows.push(Row { what: what.into(), theirs, ours, verdict });
    }

    /// Ours must hold `good`; the peer's value is shown beside it, and the row that explains a difference.
    pub(super) fn ours(
        &mut self,
        what: impl Into<String>,
        theirs: impl fmt::Display,
        ours: impl fmt::Display,
        good: bool,
        row: &'static str,
    ) {
        let verdict = if good { Verdict::Listed(row) } else { Verdict::Wrong };
        self.rows.push(Row {
            what: what.into(),
            theirs: theirs.to_string(),
            ours: ours.to_string(),
            verdict,
        });
    }

    /// Not compared, and why.
    pub(super) fn skip(&mut self, what: impl Into<String>, reason: impl fmt::Display) {
        let verdict = Verdict::Skipped(reason.to_string());
        self.rows.push(Row { what: what.into(), theirs: "-".into(), ours: "-".into(), verdict });
    }

    /// How many comparisons failed.
    pub(super) fn failed(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.verdict, Verdict::Wrong)).count()
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |cell: fn(&Row) -> &str, least: usize| {
            self.rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0).max(least)
        };
        let what = width(|row| &row.what, 4);
        let theirs = width(|row| &row.theirs, 4);
        let ours = width(|row| &row.ours, 9);
        writeln!(f, "{:<what$}  {:<theirs$}  {:<ours$}  ", "WHAT", "PEER", "FUSEBOARD")?;
        for row in &self.rows {
            let verdict = match &row.verdict {
                Verdict::Same => "same".to_owned(),
                Verdict::Listed("") => "as it should be".to_owned(),
                Verdict::Listed(difference) => format!("as listed ({difference})"),
                Verdict::Wrong => "WRONG".to_owned(),
                Verdict::Skipped(reason) => reason.clone(),
            };
            writeln!(f, "{:<what$}  {:<theirs$}  {:<ours$}  {verdict}", row.what, row.theirs, row.ours)?;
        }
        // Once more at the end, where the last lines of a log show them.
        for row in self.rows.iter().filter(|row| matches!(row.verdict, Verdict::Wrong)) {
            writeln!(f, "WRONG: {}\n  peer:      {}\n  fuseboard: {}", row.what, row.theirs, row.ours)?;
        }
        write!(f, "{} compared, {} failed", self.len(), self.failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_counts_as_failed_and_a_skip_does_not() {
        let mut table = Table::default();
        table.same("a", 1, 1);
        table.same("b", 1, 2);
        table.skip("c", "no peer");
        assert_eq!((table.len(), table.failed()), (3, 1));
        let end = "WRONG: b\n  peer:      1\n  fuseboard: 2\n3 compared, 1 failed";
        assert!(table.to_string().ends_with(end));
    }
}
