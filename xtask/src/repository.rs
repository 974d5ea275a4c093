//! The repository as a tool sees it: its root, its tracked files, its packages, and running cargo in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds the product in release and says where it is.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let status = release_build().current_dir(root()).status()?;
    ensure!(status.success(), "the release build failed");
    Ok(target().join("release/fuseboard"))
}

/// cargo, told to build the product in release.
pub(crate) fn release_build() -> Command {
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--locked", "--package", "fuseboard"]);
    cargo
}

/// What the compiler prints when it is asked so; `None`: it does not know what is asked for.
pub(crate) fn rustc_prints(arguments: &[&str]) -> anyhow::Result<Option<String>> {
    let output = Command::new("rustc").arg("--print").args(arguments).output().context("running rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success().then_some(text))
}

/// Paths, relative to the root, of the files that git tracks or would track.
pub(crate) fn files() -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("running git ls-files")?;
    ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut files: Vec<PathBuf> = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned()))
        .filter(|path| root().join(path).is_file())
        .collect();
    files.sort();
    Ok(files)
}

/// One package of the workspace with what it names in its manifest.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Dependencies of the product (normal and build), without those for tests.
    pub(crate) dependencies: Vec<String>,
}

/// The workspace's packages.
pub(crate) fn packages() -> anyhow::Result<Vec<Package>> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata without packages")?;
    Ok(packages.iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dependencies = value["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    Package {
        name: text(&value["name"]),
        dependencies: dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]))
            .collect(),
    }
}

/// Runs the workspace's tests with `FUSEBOARD_BLESS=1`, under which golden tests write instead of compare.
pub(crate) fn bless() -> anyhow::Result<()> {
    let status = cargo()
        .args(["test", "--workspace", "--quiet"])
        .env("FUSEBOARD_BLESS", "1")
        .env("INSTA_UPDATE", "always")
        .env("TRYCMD", "overwrite")
        .current_dir(root())
        .status()?;
    ensure!(status.success(), "some tests fail for another reason than a golden file");
    Ok(())
}

/// When the last commit was made, in seconds since 1970.
pub(crate) fn commit_time() -> anyhow::Result<u64> {
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(root())
        .output()
        .context("running git log")?;
    ensure!(output.status.success(), "git log failed; set SOURCE_DATE_EPOCH instead");
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// cargo, as if it had not started us: what it tells us of our own package is none of what is built, and would have everything
/// built again whose build script looks at that (`ring`'s, and so whatever speaks TLS).
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        cargo.env_remove(name);
    }
    cargo
}
