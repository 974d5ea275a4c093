//! The files of fuzz/corpus, through what the fuzz targets do with any bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/entries/proxy_header.rs"]
mod entry;

#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::feed;

#[test]
fn the_corpus_of_proxy_header_holds() {
    feed("proxy_header", entry::proxy_header);
}
