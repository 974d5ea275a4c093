//! The archive for a machine: laid out so that it can be unpacked over /usr/local.

use std::process::Command;

use anyhow::{Context, ensure};

use super::archive::Tree;
use super::binary::Binary;
use crate::repository;

/// The names under which the binary behaves as its namesakes do.
pub(super) const NAMES: [&str; 3] = ["fortio", "istioctl", "pilot-agent"];

/// Where each shell looks for the completions of an installed program.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/fuseboard"),
    ("zsh", "share/zsh/site-functions/_fuseboard"),
    ("fish", "share/fish/vendor_completions.d/fuseboard.fish"),
];

/// Everything below one folder called `name`.
pub(super) fn tree(binary: &Binary, name: &str) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    tree.program(format!("{name}/bin/fuseboard"), binary.content.as_slice());
    for (shell, path) in COMPLETIONS {
        tree.file(format!("{name}/{path}"), printed(binary, &["completion", shell])?);
    }
    manual(binary, &mut tree, name)?;
    let given = [
        ("README.md", "share/doc/fuseboard/README.md"),
        ("CHANGELOG.md", "share/doc/fuseboard/CHANGELOG.md"),
        ("LICENSE", "share/doc/fuseboard/LICENSE"),
        ("deploy/systemd/fuseboard.service", "lib/systemd/system/fuseboard.service"),
    ];
    for (from, to) in given {
        tree.file(format!("{name}/{to}"), std::fs::read(repository::root().join(from))?);
    }
    for path in repository::files()?.iter().filter(|path| path.starts_with("examples")) {
        let content = std::fs::read(repository::root().join(path))?;
        tree.file(format!("{name}/share/doc/fuseboard/{}", path.display()), content);
    }
    Ok(tree)
}

/// The man pages, as the binary itself writes them.
fn manual(binary: &Binary, tree: &mut Tree, name: &str) -> anyhow::Result<()> {
    let folder = repository::target().join("dist/man");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    printed(binary, &["man", &folder.to_string_lossy()])?;
    for page in std::fs::read_dir(&folder)? {
        let page = page?;
        let path = format!("{name}/share/man/man1/{}", page.file_name().to_string_lossy());
        tree.file(path, std::fs::read(page.path())?);
    }
    Ok(())
}

fn printed(binary: &Binary, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(&binary.path)
        .args(arguments)
        .output()
        .with_context(|| format!("running {}", binary.path.display()))?;
    ensure!(output.status.success(), "fuseboard {} failed", arguments.join(" "));
    Ok(output.stdout)
}
