//! `cargo xtask dist`: what is handed out: a static binary with its completions, man pages and unit, and a container image.
//!
//! The same commit gives the same bytes wherever it is built: paths of the machine are mapped away, archives are written
//! in order and with the commit's time. `--reproduce` builds a second time elsewhere and compares.

mod archive;
mod binary;
mod image;
mod package;
mod reproduce;
mod try_out;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::repository;
use binary::{Binary, Manner};

/// Make the archive and the container image of a release under target/dist
#[derive(Args)]
#[command(after_help = "Examples:
  cargo xtask dist                      # static against musl where that can be had, else against glibc
  cargo xtask dist --libc glibc
  cargo xtask dist --profile target/profile/fuseboard.profdata
  cargo xtask dist --try-out            # and run the demo from the image, in a container without rights
  cargo xtask dist --reproduce          # and build again in another folder: the digests must be the same
  docker load < target/dist/fuseboard-*.oci.tar

The time in the archives is SOURCE_DATE_EPOCH, else that of the last commit.")]
pub(crate) struct Arguments {
    /// C library to link statically; default: musl where its target and compiler are installed, else glibc
    #[arg(long, value_name = "LIBC")]
    libc: Option<Libc>,
    /// Run the demo from the image in a container, and have the unit judged
    #[arg(long)]
    try_out: bool,
    /// Lay the code out for what a profile of `cargo xtask profile` has recorded
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Build a second time from a copy in another folder and compare the digests
    #[arg(long)]
    reproduce: bool,
}

/// The C library inside a static binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Libc {
    /// Small, and the usual choice for static binaries; brings mimalloc, because its own allocator is slow.
    Musl,
    /// The one of most distributions.
    Glibc,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let out = repository::target().join("dist");
    let release = Release::read()?;
    let profile = arguments.profile.as_deref();
    let manner = Manner { time: release.time, libc: arguments.libc, profile };
    let binary = binary::build(&repository::root(), &repository::target(), manner)?;
    let files = write(&release, &binary, &out)?;
    for file in &files {
        say(&format!("{}  {}", file.digest, file.path.display()));
    }
    if arguments.try_out {
        try_out::run(&release, &files)?;
    }
    if arguments.reproduce {
        reproduce::run(&release, &binary, profile, &files)?;
        say("built twice in two folders: the same bytes");
    }
    Ok(())
}

/// What names a release and dates it.
pub(crate) struct Release {
    pub(crate) version: String,
    /// Seconds since 1970 that every file of the archives carries.
    pub(crate) time: u64,
}

impl Release {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let time = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(text) => text.parse().with_context(|| format!("SOURCE_DATE_EPOCH={text} is no number"))?,
            Err(_) => repository::commit_time()?,
        };
        Ok(Self { version: env!("CARGO_PKG_VERSION").to_owned(), time })
    }

    /// `fuseboard-0.1.0-linux-x86_64`.
    fn name(&self) -> String {
        format!("fuseboard-{}-linux-{}", self.version, std::env::consts::ARCH)
    }
}

/// A file of the release and what it hashes to.
pub(crate) struct Made {
    pub(crate) path: PathBuf,
    pub(crate) digest: String,
}

/// Writes archive and image, each with a `.sha256` beside it.
pub(crate) fn write(release: &Release, binary: &Binary, out: &Path) -> anyhow::Result<Vec<Made>> {
    std::fs::create_dir_all(out)?;
    let name = release.name();
    let package = package::tree(binary, &name)?.tar(release.time)?;
    let contents = [
        (format!("{name}.tar.gz"), archive::gzip(&package)?),
        (format!("{name}.oci.tar"), image::write(binary, release)?),
    ];
    contents.into_iter().map(|(name, bytes)| publish(out, &name, &bytes)).collect()
}

fn publish(out: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<Made> {
    let path = out.join(name);
    std::fs::write(&path, bytes)?;
    let digest = archive::sha256(bytes);
    // The form that `sha256sum --check` reads.
    std::fs::write(out.join(format!("{name}.sha256")), format!("{digest}  {name}\n"))?;
    Ok(Made { path, digest })
}

#[expect(clippy::print_stdout, reason = "what was made, and where, is this tool's output")]
fn say(text: &str) {
    println!("{text}");
}
