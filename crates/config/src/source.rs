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
    pub content: Content,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text, shared with the [`Source`] that is made of it.
    Text(Arc<str>),
    /// Bytes that are no UTF-8.
    Other(Arc<[u8]>),
}

impl Content {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Other(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(error) => Self::Other(error.into_bytes().into()),
        }
    }
}

impl SourceText {
    /// A file with this path and content.
    pub fn new(path: impl Into<Arc<str>>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: content.into().into() }
    }
}

/// A text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path, as in [`SourceText`].
    pub path: Arc<str>,
    /// Text, without a byte-order mark.
    pub text: Arc<str>,
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
