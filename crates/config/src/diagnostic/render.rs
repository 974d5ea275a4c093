//! How diagnostics look: one line as istioctl writes it, that line with an excerpt of the text and what to write, or JSON.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::Place;

/// Characters of a line that an excerpt shows on each side of the place, at most.
const EXCERPT: usize = 100;

/// What the reader's terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// ANSI colours.
    pub color: bool,
    /// Lines drawn with box characters rather than ASCII.
    pub unicode: bool,
}

/// One line, as istioctl writes it: `Warning [FB001] (DestinationRule httpbin.default httpbin.yaml:17) message`.
pub fn line(diagnostic: &Diagnostic) -> String {
    let severity = diagnostic.severity.as_str();
    let code = diagnostic.code;
    let message = &diagnostic.message;
    match whereabouts(diagnostic) {
        Some(place) => format!("{severity} [{code}] ({place}) {message}"),
        None => format!("{severity} [{code}] {message}"),
    }
}

fn whereabouts(diagnostic: &Diagnostic) -> Option<String> {
    let location = diagnostic.at.as_ref().map(Place::location);
    match (&diagnostic.resource, location) {
        (Some(resource), Some(location)) => Some(format!("{resource} {location}")),
        (Some(resource), None) => Some(resource.to_string()),
        (None, Some(location)) => Some(location.to_string()),
        (None, None) => None,
    }
}

/// The line of [`line`], an excerpt of the text with the place underlined, and the help. Ends with a line break.
pub fn text(diagnostic: &Diagnostic, look: Look) -> String {
    let mut text = colored(diagnostic, look);
    text.push('\n');
    let mut group = Group::with_level(level(diagnostic.severity));
    if let Some(place) = &diagnostic.at {
        let location = place.location();
        let excerpt = Excerpt::of(place);
        let origin = Origin::path(location.file.to_string()).line(location.line as usize);
        let mut snippet = Snippet::source(excerpt.text).line_start(location.line as usize);
        if excerpt.cut {
            group = group.element(origin.char_column(location.column as usize));
        } else {
            snippet = snippet.path(location.file.to_string());
        }
        if !excerpt.text.trim().is_empty() {
            let annotation = AnnotationKind::Primary.span(excerpt.place).label(diagnostic.label.as_deref());
            group = group.element(snippet.annotation(annotation));
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    if !group.is_empty() {
        let renderer = if look.color { Renderer::styled() } else { Renderer::plain() };
        let decor = if look.unicode { DecorStyle::Unicode } else { DecorStyle::Ascii };
        text.push_str(&renderer.decor_style(decor).render(&[group]));
        text.push('\n');
    }
    text
}

/// The line of [`line`] with its severity in colour, where that can be seen: red for errors, yellow for warnings.
pub fn colored(diagnostic: &Diagnostic, look: Look) -> String {
    let line = line(diagnostic);
    let severity = diagnostic.severity.as_str();
    let code = match diagnostic.severity {
        Severity::Error => "1;31",
        Severity::Warning => "33",
        Severity::Info => return line,
    };
    match line.strip_prefix(severity) {
        Some(rest) if look.color => format!("\u{1b}[{code}m{severity}\u{1b}[0m{rest}"),
        _ => line,
    }
}

const fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    }
}

/// The first line of a place, or a part of it if it is long.
struct Excerpt<'a> {
    text: &'a str,
    /// The place inside `text`, in bytes.
    place: std::ops::Range<usize>,
    /// `text` is cut in front, so that columns cannot be counted in it, or there is nothing to count in.
    cut: bool,
}

impl<'a> Excerpt<'a> {
    fn of(place: &'a Place) -> Self {
        let text = &*place.source.text;
        let start = text.floor_char_boundary(place.span.start as usize);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |at| start + at);
        let before: usize = text[line_start..start].chars().rev().take(EXCERPT).map(char::len_utf8).sum();
        let after: usize = text[start..line_end].chars().take(EXCERPT).map(char::len_utf8).sum();
        let end = text.floor_char_boundary((place.span.end as usize).clamp(start, start + after));
        let excerpt = &text[start - before..start + after];
        let cut = start - before > line_start || excerpt.trim().is_empty();
        Self { text: excerpt, place: before..before + (end - start), cut }
    }
}

/// One diagnostic as `-o json` prints it; the first five names are istioctl's.
#[derive(Serialize)]
struct Entry<'a> {
    code: &'static str,
    level: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

/// All diagnostics as one JSON array.
pub fn json(diagnostics: &Diagnostics) -> String {
    let entries: Vec<Entry<'_>> = diagnostics
        .iter()
        .map(|diagnostic| {
            let location = diagnostic.at.as_ref().map(Place::location);
            Entry {
                code: diagnostic.code.entry().id,
                level: diagnostic.severity.as_str(),
                message: &diagnostic.message,
                origin: diagnostic.resource.as_ref().map(ToString::to_string),
                reference: location.as_ref().map(ToString::to_string),
                column: location.as_ref().map(|location| location.column),
                field: diagnostic.field.as_deref(),
                help: diagnostic.help.as_deref(),
            }
        })
        .collect();
    // Strings and numbers alone: this cannot fail, and an empty list is what would remain if it did.
    serde_json::to_string_pretty(&entries).unwrap_or_else(|_| "[]".to_owned())
}
