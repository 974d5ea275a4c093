//! `fuseboard man`: manual pages, one for each command.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, ValueHint};
use clap_mangen::Man;

use crate::exit::{Exit, Outcome};
use crate::output;

/// Write manual pages, one for each command, into a folder or to stdout
#[derive(Args)]
#[command(after_help = "Examples:
  # read them all
  fuseboard man | man -l -
  # install them
  fuseboard man ~/.local/share/man/man1")]
pub(crate) struct Arguments {
    /// Folder to write fuseboard.1, fuseboard-run.1 and so on into; made if it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, tree: Command) -> Outcome {
    let pages = pages(tree)?;
    let Some(folder) = &arguments.folder else {
        for page in &pages {
            output::out_bytes(&page.roff);
        }
        return Ok(Exit::Ok);
    };
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for page in &pages {
        let path = folder.join(&page.file);
        fs::write(&path, &page.roff).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    output::note(format_args!("{} manual pages in {}", pages.len(), folder.display()));
    Ok(Exit::Ok)
}

/// One manual page.
struct Page {
    file: String,
    roff: Vec<u8>,
}

/// The page of the tree's root, then those of its branches, depth first.
fn pages(mut tree: Command) -> std::io::Result<Vec<Page>> {
    tree = tree.disable_help_subcommand(true);
    tree.build();
    let mut pages = Vec::new();
    add(&tree, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<Page>) -> std::io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    // A page has no date of its own, and an empty field of the title line must be quoted to count as one.
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .date("\"\"")
        .source(concat!("fuseboard ", env!("CARGO_PKG_VERSION")))
        .manual("Fuseboard manual");
    let mut roff = Vec::new();
    man.render(&mut roff)?;
    // What follows the flags in a help text begins with its examples.
    let roff =
        String::from_utf8_lossy(&roff).replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n").into_bytes();
    pages.push(Page { file: man.get_filename(), roff });
    command.get_subcommands().filter(|inner| !inner.is_hide_set()).try_for_each(|inner| add(inner, pages))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};

    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = pages(crate::tree::fuseboard()).unwrap();
        let files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        for file in ["fuseboard.1", "fuseboard-run.1", "fuseboard-admin-request.1", "fuseboard-load.1"] {
            assert!(files.contains(&file), "{files:?}");
        }
        for page in pages {
            let text = String::from_utf8(page.roff).unwrap();
            assert!(text.contains("\n.SH EXAMPLES\n  "), "{}", page.file);
        }
    }

    #[test]
    fn groff_renders_every_page_without_a_warning() {
        for page in pages(crate::tree::fuseboard()).unwrap() {
            let groff = Process::new("groff")
                .args(["-man", "-ww", "-z", "-Tutf8"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let Ok(mut groff) = groff else {
                eprintln!("skipped: no groff here");
                return;
            };
            groff.stdin.take().unwrap().write_all(&page.roff).unwrap();
            let said = groff.wait_with_output().unwrap();
            assert!(said.status.success() && said.stderr.is_empty(), "{}: {said:?}", page.file);
        }
    }
}
