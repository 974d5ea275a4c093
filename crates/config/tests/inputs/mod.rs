//! What golden files are made from.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::Path;

/// Name and text of each `tests/<folder>/<name>.in.yaml`, in the order of their names.
pub(crate) fn inputs(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = paths
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".in.yaml")?.to_owned();
            Some((name, fs::read_to_string(path).unwrap()))
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no input in {}", folder.display());
    inputs
}
