//! Bytes in gzip's format.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

/// `bytes`, compressed.
pub(crate) fn gzipped(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}
