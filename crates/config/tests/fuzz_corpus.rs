//! The files of fuzz/corpus, through what the fuzz targets do with any bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "../../../fuzz/entries/yaml.rs"]
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
fn the_corpus_of_yaml_holds() {
    feed("yaml", entry::resources);
}
