//! Problems in what users wrote: collected, never stopping at the first, each with a stable code and the place to edit.
//!
//! How they look is decided in [`render`]; which exit code follows is the command's business.

mod code;
pub mod render;
mod suppression;

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use fuseboard_snapshot::ResourceRef;

pub use code::{Code, CodeEntry};
pub use suppression::Suppression;

use crate::source::Place;

/// How bad it is. Ordered: an error is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Probably not what was meant.
    Warning,
    /// Wrong.
    Error,
}

impl Severity {
    /// As istioctl writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Error => "Error",
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of problem.
    pub code: Code,
    /// How bad it is; the code's own severity unless changed.
    pub severity: Severity,
    /// The resource it is in, where that is known.
    pub resource: Option<ResourceRef>,
    /// Path of the field: `spec.trafficPolicy.connectionPool.tcp.maxConnections`.
    pub field: Option<Arc<str>>,
    /// The text to edit.
    pub at: Option<Place>,
    /// What is wrong, in one sentence or fragment without a line break.
    pub message: String,
    /// A few words beside the underlined text.
    pub label: Option<String>,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem with the severity of its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.entry().severity,
            resource: None,
            field: None,
            at: None,
            message: message.into(),
            label: None,
            help: None,
        }
    }

    /// The resource it is in.
    #[must_use]
    pub fn resource(mut self, resource: ResourceRef) -> Self {
        self.resource = Some(resource);
        self
    }

    /// The path of its field.
    #[must_use]
    pub fn field(mut self, field: impl Into<Arc<str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Its place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.at = Some(place);
        self
    }

    /// Words beside the underlined text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What makes it this problem and not another: everything but the line, and the words beside and below it.
    fn identity(&self) -> impl Eq + Hash + '_ {
        let file = self.at.as_ref().map(|place| &place.source.path);
        (self.code, self.severity, &self.resource, &self.field, file, &self.message)
    }

    /// Whether the resource is not applied because of it. Not every error does that: a rule that asks for TLS is applied,
    /// and withholds its cluster.
    pub fn rejects(&self) -> bool {
        self.code.entry().rejects
    }
}

impl fmt::Display for Diagnostic {
    /// One line, as [`render::line`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render::line(self))
    }
}

/// Problems, in the order found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of `other`.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Those that are not among `others`. A problem stays the same one when it moves to another line of its file.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        let known: HashSet<_> = others.iter().map(Diagnostic::identity).collect();
        Self(self.iter().filter(|one| !known.contains(&one.identity())).cloned().collect())
    }

    /// All, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// The worst severity; `None` if there are no problems.
    pub fn worst(&self) -> Option<Severity> {
        self.iter().map(|diagnostic| diagnostic.severity).max()
    }

    /// Leaves those that `keep` says.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.0.retain(keep);
    }

    /// Orders by file and line, so that a reader goes through each file once; those without a place come last.
    pub fn sort(&mut self) {
        self.0.sort_by_cached_key(|diagnostic| {
            let at = diagnostic.at.as_ref().map(|place| (place.source.path.clone(), place.span));
            (at.is_none(), at, diagnostic.code)
        });
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.0.extend(diagnostics);
    }
}
