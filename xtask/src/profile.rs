//! `cargo xtask profile`: what the processor does under load, recorded for the compiler, which then lays out the code for that.
//!
//! The same sources with the same profile give the same bytes, so that the profile is published beside what was built with it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::Args;

use crate::{bench, repository};

/// Record what the proxy does under the loads of the bench, for `dist --profile` and `bench --profile`
#[derive(Args)]
#[command(after_help = "Examples:
  cargo xtask profile
  cargo xtask dist --profile target/profile/fuseboard.profdata
  cargo xtask bench --profile target/profile/fuseboard.profdata --row h1-64

Needs `rustup component add llvm-tools`, and wrk, nginx and h2load, which are installed where we may.")]
pub(crate) struct Arguments {
    /// Seconds of each load
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let tool = merging_tool()?;
    let folder = folder();
    let records = folder.join("records");
    if records.exists() {
        std::fs::remove_dir_all(&records)?;
    }
    let recording = build(joined("-Cprofile-generate=", &records))?;
    bench::exercise(&recording, arguments.seconds)?;
    let profile = folder.join("fuseboard.profdata");
    let status = Command::new(tool).args(["merge", "--output"]).arg(&profile).arg(&records).status()?;
    ensure!(status.success(), "the records could not be merged");
    say(&format!("{}", profile.display()));
    Ok(())
}

/// Builds the product with this profile and says where it is.
pub(crate) fn build_with(profile: &Path) -> anyhow::Result<PathBuf> {
    build(flag(profile)?)
}

/// What tells the compiler to use it.
pub(crate) fn flag(profile: &Path) -> anyhow::Result<OsString> {
    let profile = profile.canonicalize().with_context(|| format!("no profile {}", profile.display()))?;
    Ok(joined("-Cprofile-use=", &profile))
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(option);
    flag.push(path);
    flag
}

fn folder() -> PathBuf {
    repository::target().join("profile")
}

/// Builds the product in release with one flag more. A target that is named keeps that from build scripts, and a folder of its own
/// from other builds.
fn build(flag: OsString) -> anyhow::Result<PathBuf> {
    let host =
        repository::rustc_prints(&["host-tuple"])?.context("rustc does not say for what it compiles")?;
    let folder = folder();
    let status = repository::release_build()
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flag)
        .current_dir(repository::root())
        .status()?;
    ensure!(status.success(), "the release build failed");
    Ok(folder.join(host).join("release/fuseboard"))
}

/// The one of the compiler's own version: others do not read its records.
fn merging_tool() -> anyhow::Result<PathBuf> {
    let libraries =
        repository::rustc_prints(&["target-libdir"])?.context("rustc does not say where it is")?;
    let tool = Path::new(&libraries).with_file_name("bin").join("llvm-profdata");
    ensure!(tool.is_file(), "no {}; `rustup component add llvm-tools` brings it", tool.display());
    Ok(tool)
}

#[expect(clippy::print_stdout, reason = "where the profile is, is this tool's output")]
fn say(text: &str) {
    println!("{text}");
}
