//! The only place that prints: data to stdout, everything else to stderr; colour on a terminal only, unless `--color`,
//! `NO_COLOR` or `CLICOLOR_FORCE` says otherwise; tables as istioctl and kubectl print them.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use fuseboard_config::Diagnostics;
use fuseboard_config::diagnostic::render::{self, Look};
use tabwriter::TabWriter;

/// Something good, or a name to look at.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Something refused or ejected.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// Something to look at.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// Headings and what the eye should find first.
pub(crate) const STRONG: Style = Style::new().bold();
/// What can be skipped.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Text in a style; the style ends with it.
pub(crate) fn styled<'a>(style: Style, text: impl Display + 'a) -> impl Display + 'a {
    struct Styled<T>(Style, T);
    impl<T: Display> Display for Styled<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}{}{}", self.0.render(), self.1, self.0.render_reset())
        }
    }
    Styled(style, text)
}

/// Text padded to `width` columns, then styled, so that the escape codes do not disturb the columns.
pub(crate) fn padded(style: Style, text: impl Display, width: usize) -> String {
    let text = text.to_string();
    let fill = width.saturating_sub(text.chars().count());
    format!("{}{}", styled(style, text), " ".repeat(fill))
}

/// A line of data. A closed pipe ends the output, not the program.
pub(crate) fn out(line: impl Display) {
    write_quietly(&mut anstream::stdout().lock(), format_args!("{line}\n"));
}

/// Data that brings its own line ends.
pub(crate) fn out_raw(text: &str) {
    let mut stdout = anstream::stdout().lock();
    write_quietly(&mut stdout, format_args!("{text}"));
    let _ = stdout.flush();
}

/// Bytes as they are, without looking for escape codes in them.
pub(crate) fn out_bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// A line for the person in front of the screen.
pub(crate) fn note(line: impl Display) {
    write_quietly(&mut anstream::stderr().lock(), format_args!("{line}\n"));
}

/// Text for the person in front of the screen that brings its own line ends.
pub(crate) fn note_raw(text: &str) {
    write_quietly(&mut anstream::stderr().lock(), format_args!("{text}"));
}

/// The last words of a command that failed: what, why, and what to do next.
pub(crate) fn failure(error: &anyhow::Error, next: Option<&str>) {
    let mut text = format!("{} {error}", styled(BAD.bold(), "error:"));
    for cause in error.chain().skip(1) {
        text.extend(["\n  because ", &cause.to_string()]);
    }
    if let Some(next) = next {
        text.extend(["\n  ", &styled(GOOD, "next:").to_string(), " ", next]);
    }
    note(text);
}

/// Follows `--color` from here on.
pub(crate) fn choose_color(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
    }
    .write_global();
}

/// Problems of the files, for the person in front of the screen.
pub(crate) fn diagnostics(diagnostics: &Diagnostics) {
    for diagnostic in diagnostics {
        note_raw(&render::text(diagnostic, look()));
    }
}

/// The same where they are the result of the command.
pub(crate) fn diagnostics_as_data(diagnostics: &Diagnostics) {
    for diagnostic in diagnostics {
        out_raw(&render::text(diagnostic, look()));
    }
}

/// Colour is always written; where the reader can't show it, the stream takes it out.
fn look() -> Look {
    Look { color: true, unicode: true }
}

/// Whether a person looks at stderr.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Rows of tab-separated cells as an aligned table with istioctl's five blanks between columns.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let mut writer = TabWriter::new(Vec::new()).minwidth(0).padding(5);
    for row in rows {
        let _ = writeln!(writer, "{}", row.join("\t"));
    }
    let _ = writer.flush();
    let bytes = writer.into_inner().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

fn write_quietly(writer: &mut impl Write, text: fmt::Arguments<'_>) {
    // A reader that went away (`| head`) is not an error of ours.
    let _ = writer.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let cells = |row: &[&str]| row.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let text = table(&[cells(&["NAME", "STATE", ""]), cells(&["httpbin.default", "OK", ""])]);
        assert_eq!(text, "NAME                STATE\nhttpbin.default     OK\n");
    }

    #[test]
    fn padding_counts_what_is_seen() {
        assert!(padded(GOOD, "ok", 5).ends_with("   "));
    }
}
