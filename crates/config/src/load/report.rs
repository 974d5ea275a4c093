//! Where findings about one document are put, and how the path of a field is spelled.

use std::fmt;
use std::sync::Arc;

use fuseboard_api::Span;

use crate::diagnostic::{Code, Diagnostic};
use crate::load::MAX_PROBLEMS;
use crate::source::{Place, Source};

/// The findings about one resource.
pub(super) struct Report<'a> {
    source: &'a Arc<Source>,
    found: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(super) fn new(source: &'a Arc<Source>) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Adds a finding about the text at `span`, which is the field `path`; `help` says what to write instead.
    pub(super) fn add(
        &mut self,
        code: Code,
        span: Span,
        path: &FieldPath<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.is_full() {
            return;
        }
        let place = Place { source: self.source.clone(), span };
        let path = path.to_string();
        let mut diagnostic = Diagnostic::new(code, message).at(place).help(help);
        diagnostic.field = (!path.is_empty()).then(|| path.into());
        self.found.push(diagnostic);
    }

    /// Whether so much was found that looking further is a waste: the resource is then not checked to its end.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MAX_PROBLEMS
    }

    pub(super) fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }
}

/// The path of a field, as `spec.subsets[0].name`. Lives on the stack of the walk that made it.
#[derive(Clone, Copy)]
pub(super) struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
    Item(&'a str, usize),
}

impl FieldPath<'_> {
    pub(super) const ROOT: Self = Self { parent: None, step: Step::Root };

    pub(super) fn key<'b>(&'b self, key: &'b str) -> FieldPath<'b> {
        FieldPath { parent: Some(self), step: Step::Key(key) }
    }

    /// Element `index` of the list `key`.
    pub(super) fn item<'b>(&'b self, key: &'b str, index: usize) -> FieldPath<'b> {
        FieldPath { parent: Some(self), step: Step::Item(key, index) }
    }

    pub(super) fn index(&self, index: usize) -> FieldPath<'_> {
        FieldPath { parent: Some(self), step: Step::Index(index) }
    }
}

impl FieldPath<'_> {
    /// What stands between this path and a key.
    const fn dot(&self) -> &'static str {
        if self.parent.is_some() { "." } else { "" }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "{}{key}", parent.dot()),
            Step::Item(key, index) => write!(f, "{}{key}[{index}]", parent.dot()),
        }
    }
}
