//! The files of fuzz/corpus, through what the fuzz targets do with any bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/entries/http1.rs"]
mod entry;

fn feed(target: &str, entry: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        entry(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{target} has no corpus");
}

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
