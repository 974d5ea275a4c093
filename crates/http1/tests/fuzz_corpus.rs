//! The files of fuzz/corpus, through what the fuzz targets do with any bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/entries/http1.rs"]
mod entry;

#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::feed;

#[test]
fn the_corpus_of_h1_requests_holds() {
    feed("h1_requests", entry::requests);
}

#[test]
fn the_corpus_of_h1_responses_holds() {
    feed("h1_responses", entry::responses);
}

#[test]
fn the_corpus_of_h1_chunks_holds() {
    feed("h1_chunks", entry::chunks);
}
