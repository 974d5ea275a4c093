//! Tables as istioctl prints them: Go's elastic tab stops, five blanks between columns.

use std::io::Write as _;

use tabwriter::TabWriter;

/// Lines under a heading, each with its cells.
pub(super) fn render(heading: &[&str], lines: &[Vec<String>]) -> String {
    render_close(heading, lines, 5)
}

/// The same with so many blanks between columns.
pub(super) fn render_close(heading: &[&str], lines: &[Vec<String>], padding: usize) -> String {
    let mut writer = TabWriter::new(Vec::new()).minwidth(0).padding(padding);
    let heading: Vec<String> = heading.iter().map(|&cell| cell.to_owned()).collect();
    for line in std::iter::once(&heading).chain(lines) {
        // Into memory: this cannot fail.
        let _ = writeln!(writer, "{}", line.join("\t"));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
