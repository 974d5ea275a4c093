//! What the binary prints, word for word: the cases are in `cmd/`, readable as pages. `TRYCMD=overwrite` rewrites them.

#[test]
fn the_binary_says_what_its_pages_say() {
    let nobody = tempfile::tempdir().unwrap();
    trycmd::TestCases::new()
        .env("XDG_RUNTIME_DIR", nobody.path().to_string_lossy())
        .env("FUSEBOARD_ADMIN", "")
        .case("tests/cmd/*.md");
}
