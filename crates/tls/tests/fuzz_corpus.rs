//! The files of fuzz/corpus, through what the fuzz targets do with any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/entries/certificate.rs"]
mod entry;

#[path = "../../../fuzz/entries/xfcc.rs"]
mod xfcc;

#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::feed;

#[test]
fn the_corpus_of_certificate_holds() {
    feed("certificate", entry::certificate);
}

#[test]
fn the_corpus_of_xfcc_holds() {
    feed("xfcc", xfcc::element);
}
