//! The bounds on what one message may cost before it is refused. Bodies are not bounded here: they stream.

/// Most field lines that [`Limits::max_headers`] can allow; larger values count as this one.
pub const MAX_HEADERS: usize = 256;

/// Most bytes from the semicolon of a chunk extension to the end of its line.
pub const MAX_CHUNK_EXTENSION: u32 = 1024;

/// Most options in all `Connection` fields of one head together.
pub(crate) const MAX_CONNECTION_OPTIONS: usize = 32;

/// Bounds on one head, and on one trailer section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head including its empty line, and bytes of a trailer section.
    /// Default 61440: Envoy's `max_request_headers_kb` of 60.
    pub max_head_bytes: usize,
    /// Field lines of a head or trailer section. Default 100, as Envoy's `max_headers_count`; at most
    /// [`MAX_HEADERS`].
    pub max_headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_head_bytes: 60 * 1024, max_headers: 100 }
    }
}
