//! Texts that resources come from, shared by everything that points into them.

use std::sync::Arc;

use fuseboard_api::Span;
use fuseboard_snapshot::Location;

/// A file before it is read, as bytes: whether they are text is for the reader to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Path as the user gave it, or as found under the folder given; `-` for standard input.
    pub path: Arc<str>,
    /// Content.
    pub text: Vec<u8>,
}

impl SourceText {
    /// A file with this path and content.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// A text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path, as in [`SourceText`].
    pub path: Arc<str>,
    /// Text, without a byte-order mark.
    pub text: String,
}

/// A stretch of a text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub source: Arc<Source>,
    /// Where in it.
    pub span: Span,
}

impl Place {
    /// File, line and column.
    pub fn location(&self) -> Location {
        Location { file: self.source.path.clone(), line: self.span.line, column: self.span.column }
    }
}
