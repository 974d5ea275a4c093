//! The same commit, built a second time from a copy in another folder, has to give the same bytes.

use std::path::Path;

use anyhow::ensure;

use super::{Made, Release, binary};
use crate::dist::binary::{Binary, Manner};
use crate::repository;

pub(super) fn run(
    release: &Release,
    first: &Binary,
    profile: Option<&Path>,
    made: &[Made],
) -> anyhow::Result<()> {
    let elsewhere = repository::target().join("dist-again");
    let source = elsewhere.join("a-copy-in-another-folder");
    copy_sources(&source)?;
    let manner = Manner { time: release.time, libc: Some(first.libc), profile };
    let second = binary::build(&source, &elsewhere.join("target"), manner)?;
    let again = super::write(release, &second, &elsewhere.join("out"))?;
    for (one, other) in made.iter().zip(&again) {
        ensure!(
            one.digest == other.digest,
            "not reproducible: {} and {} differ",
            one.path.display(),
            other.path.display()
        );
    }
    Ok(())
}

fn copy_sources(to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    for path in repository::files()? {
        let target = to.join(&path);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::copy(repository::root().join(&path), target)?;
    }
    Ok(())
}
