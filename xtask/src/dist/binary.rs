//! The static binary: against which C library, and built so that nothing of this machine is in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::Libc;
use crate::{peers, repository};

/// A binary that needs nothing but a Linux kernel.
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    pub(crate) libc: Libc,
    pub(crate) content: Vec<u8>,
}

/// How it is built.
#[derive(Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// What its C parts take for the time of the build.
    pub(crate) time: u64,
    pub(crate) libc: Option<Libc>,
    /// What the code is laid out for.
    pub(crate) profile: Option<&'a Path>,
}

/// Builds the workspace at `source` into `target`.
pub(crate) fn build(source: &Path, target: &Path, manner: Manner<'_>) -> anyhow::Result<Binary> {
    let Manner { time, libc, profile } = manner;
    let libc = choose(libc)?;
    let triple = libc.triple();
    let status = repository::release_build()
        .args(["--target", &triple])
        .env("CARGO_TARGET_DIR", target)
        .env("SOURCE_DATE_EPOCH", time.to_string())
        .env("CARGO_ENCODED_RUSTFLAGS", flags(source, profile)?)
        .current_dir(source)
        .status()?;
    ensure!(status.success(), "the release build for {triple} failed");
    let path = target.join(triple).join("release/fuseboard");
    let content = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Binary { path, libc, content })
}

impl Libc {
    fn triple(self) -> String {
        let environment = match self {
            Self::Musl => "musl",
            Self::Glibc => "gnu",
        };
        format!("{}-unknown-linux-{environment}", std::env::consts::ARCH)
    }
}

/// musl needs rustc's target and a C compiler for it; glibc needs nothing beyond what the tests need.
fn choose(wanted: Option<Libc>) -> anyhow::Result<Libc> {
    let lack = musl_lacks()?;
    match (wanted, lack) {
        (Some(Libc::Glibc), _) => Ok(Libc::Glibc),
        (_, None) => Ok(Libc::Musl),
        (Some(Libc::Musl), Some(lack)) => bail!("no static build against musl: {lack}"),
        (None, Some(lack)) => {
            super::say(&format!("static against glibc, since musl can't be had: {lack}"));
            Ok(Libc::Glibc)
        }
    }
}

fn musl_lacks() -> anyhow::Result<Option<String>> {
    let triple = Libc::Musl.triple();
    let folder = repository::rustc_prints(&["target-libdir", "--target", &triple])?;
    if !folder.is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(Some(format!("rustc has no target {triple} (rustup target add {triple})")));
    }
    Ok(peers::on_path("musl-gcc").is_none().then(|| "no musl-gcc (Debian: musl-tools)".to_owned()))
}

/// Static, and with the folders of this machine mapped away: panic messages and debug lines name source files.
fn flags(source: &Path, profile: Option<&Path>) -> anyhow::Result<OsString> {
    let cargo_home = match std::env::var_os("CARGO_HOME") {
        Some(path) => PathBuf::from(path),
        None => std::env::home_dir().context("neither CARGO_HOME nor a home folder")?.join(".cargo"),
    };
    let mut flags = OsString::from("-Ctarget-feature=+crt-static");
    for (from, to) in [(cargo_home.as_path(), "/cargo"), (source, "/fuseboard")] {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    if let Some(profile) = profile {
        flags.push("\u{1f}");
        flags.push(crate::profile::flag(profile)?);
    }
    Ok(flags)
}
