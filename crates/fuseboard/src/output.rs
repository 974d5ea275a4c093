//! The only place that prints: data to stdout, everything else to stderr; colour on a terminal only, unless `--color`,
//! `NO_COLOR` or `CLICOLOR_FORCE` says otherwise.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use fuseboard_config::diagnostic::render::{self, Look};
use fuseboard_config::{Diagnostics, Severity};

/// Whether data was lost on its way out, other than by a reader that had enough.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether data could not be written, for whatever reason.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Something good, or a name to look at.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Something refused or ejected.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// Something to look at.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// Neither, but not the usual.
pub(crate) const OTHER: Style = AnsiColor::Cyan.on_default();
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
    out_raw(&format!("{line}\n"));
}

/// Data that brings its own line ends.
pub(crate) fn out_raw(text: &str) {
    let mut stdout = anstream::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Bytes as they are, without looking for escape codes in them.
pub(crate) fn out_bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()));
}

/// Whether data was lost: the disk is full, for example.
pub(crate) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Whether nobody reads the data any more.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// A reader that went away (`| head`) is not an error of ours; anything else is said once.
fn written(result: io::Result<()>) {
    let Err(error) = result else { return };
    CLOSED.store(true, Ordering::Relaxed);
    if error.kind() != io::ErrorKind::BrokenPipe && !LOST.swap(true, Ordering::Relaxed) {
        note(format_args!("{} stdout cannot be written: {error}", styled(BAD.bold(), "error:")));
    }
}

/// A line for the person in front of the screen.
pub(crate) fn note(line: impl Display) {
    note_raw(&format!("{line}\n"));
}

/// Text for the person in front of the screen that brings its own line ends.
pub(crate) fn note_raw(text: &str) {
    // There is nobody left to tell when this fails.
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Bytes for the person in front of the screen, as they are.
pub(crate) fn note_bytes(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}

/// The last words of a command that failed: what, why, and what to do next.
pub(crate) fn failure(error: &anyhow::Error, next: Option<&str>) {
    let mut text = format!("{} {error}", styled(BAD.bold(), "error:"));
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many an error quotes its cause.
        if !text.contains(&cause) {
            text.extend(["\n  because ", &cause]);
        }
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

/// Problems of the files, for the person in front of the screen; remarks are left to `analyze`.
pub(crate) fn diagnostics(diagnostics: &Diagnostics) {
    for diagnostic in diagnostics.iter().filter(|one| one.severity > Severity::Info) {
        note_raw(&render::text(diagnostic, look()));
    }
}

/// Problems that are not there any more, a line each.
pub(crate) fn gone(diagnostics: &Diagnostics) {
    for diagnostic in diagnostics.iter().filter(|one| one.severity > Severity::Info) {
        let code = diagnostic.code;
        let about = diagnostic.resource.as_ref().map(|resource| format!(" ({resource})")).unwrap_or_default();
        note(format_args!("{} [{code}]{about} {}", styled(GOOD, "no longer"), diagnostic.message));
    }
}

/// The same where they are the result of the command.
pub(crate) fn diagnostics_as_data(diagnostics: &Diagnostics) {
    for diagnostic in diagnostics {
        out_raw(&render::text(diagnostic, look()));
    }
}

/// The same in istioctl's lines.
pub(crate) fn diagnostic_lines(diagnostics: &Diagnostics) {
    for diagnostic in diagnostics {
        out(render::colored(diagnostic, look()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_counts_what_is_seen() {
        assert!(padded(GOOD, "ok", 5).ends_with("   "));
    }
}
