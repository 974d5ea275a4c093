//! What the binary prints, word for word: the cases are in `cmd/`, readable as pages. `TRYCMD=overwrite` rewrites them.

use tempfile::TempDir;

#[test]
fn the_binary_says_what_its_pages_say() {
    let nobody = tempfile::tempdir().unwrap();
    cases(&nobody).case("tests/cmd/*.md");
}

/// These ask which proxies run, and others of the cases above run some.
#[test]
fn it_says_so_where_no_proxy_runs() {
    let nobody = tempfile::tempdir().unwrap();
    let names = tempfile::tempdir().unwrap();
    let istioctl = names.path().join("istioctl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fuseboard"), &istioctl).unwrap();
    let cases = cases(&nobody);
    cases.register_bin("istioctl", trycmd::schema::Bin::Path(istioctl));
    cases.case("tests/cmd/alone/*.md").run();
}

fn cases(runtime: &TempDir) -> trycmd::TestCases {
    let cases = trycmd::TestCases::new();
    cases.env("XDG_RUNTIME_DIR", runtime.path().to_string_lossy()).env("FUSEBOARD_ADMIN", "");
    cases
}
