//! Tables whose columns line up, whatever the colours.

use anstyle::Style;

use crate::output;

/// Blanks between columns.
const GAP: usize = 3;

/// A text and how it looks.
pub(crate) struct Cell(Style, String);

impl Cell {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self(Style::new(), text.into())
    }

    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self(style, text.into())
    }
}

/// The lines of a table, each behind `indent`; an empty cell is shown as `-`. Columns that are empty in all rows are left
/// out.
pub(crate) fn lines(indent: &str, heads: &[&str], rows: &[Vec<Cell>]) -> String {
    let text = |cell: &Cell| if cell.1.is_empty() { "-".to_owned() } else { cell.1.clone() };
    let used: Vec<usize> = (0..heads.len())
        .filter(|&column| rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.1.is_empty())))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| text(cell).chars().count()).max().unwrap_or(0);
        widest.max(heads[column].len()) + GAP
    };
    let mut out = String::from(indent);
    let last = used.last().copied();
    for &column in &used {
        let width = if Some(column) == last { 0 } else { width(column) };
        out.push_str(&output::padded(output::FAINT, heads[column], width));
    }
    out.push('\n');
    for row in rows {
        out.push_str(indent);
        for &column in &used {
            let Some(cell) = row.get(column) else { continue };
            let width = if Some(column) == last { 0 } else { width(column) };
            out.push_str(&output::padded(cell.0, text(cell), width));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_are_left_out() {
        let rows = [
            vec![Cell::plain("a"), Cell::plain(""), Cell::styled(output::BAD, "x")],
            vec![Cell::plain("long"), Cell::plain(""), Cell::plain("")],
        ];
        let table = anstream::adapter::strip_str(&lines("  ", &["NAME", "NODE", "STATE"], &rows)).to_string();
        assert_eq!(table, "  NAME   STATE\n  a      x\n  long   -\n");
    }
}
