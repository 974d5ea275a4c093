//! Golden files: what a test printed once and somebody has looked at. `cargo xtask bless` rewrites them.

use std::fs;
use std::path::Path;

/// Compares `actual` with the file `name` under `tests/`.
pub(crate) fn assert_golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    if std::env::var_os("FUSEBOARD_BLESS").is_some() {
        let written = fs::write(&path, actual);
        assert!(written.is_ok(), "{}: {written:?}", path.display());
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{} differs\n--- expected\n{expected}\n--- actual\n{actual}", path.display());
}
