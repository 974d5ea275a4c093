//! `istioctl analyze`: the findings of files in istioctl's lines, with its texts around them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, ValueHint};
use fuseboard_config::{Diagnostic, Workload};

use super::without_cluster;
use crate::cmd::analyze::{self, Choice};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// The endings that istioctl reads.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Analyze configuration in files and print validation messages
#[derive(Args)]
#[command(after_help = "Examples:
  istioctl analyze --use-kube=false a.yaml b.yaml my-app-config/
  istioctl analyze -k=false --recursive my-istio-config/
  istioctl analyze -k=false -S 'IST0174=DestinationRule *.testing' rules/
  istioctl analyze -L

Exit codes: 79 found issues; 65 a file cannot be read; 64 wrong arguments. As
istioctl's, the exit code tells of findings with -o log only. What a code
means: fuseboard help FB001.")]
pub(super) struct Arguments {
    /// Files and folders; - is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Use a live cluster; not there yet, so write --use-kube=false
    #[arg(short = 'k', long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    use_kube: bool,
    /// Findings of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Read folders with all folders below them
    #[arg(short = 'R', long)]
    recursive: bool,
    #[command(flatten)]
    choice: Choice,
    /// log, json or yaml
    #[arg(short, long, value_name = "FORMAT", default_value = "log", value_parser = ["log", "json", "yaml"], ignore_case = true)]
    output: String,
    /// Colour; default: on a terminal that can show it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    color: Option<bool>,
}

pub(super) fn run(arguments: &Arguments, namespace: &str, root_namespace: &str) -> Outcome {
    if let Some(color) = arguments.color {
        output::choose_color(if color { clap::ColorChoice::Always } else { clap::ColorChoice::Never });
    }
    let format = arguments.output.to_lowercase();
    let choice = &arguments.choice;
    if choice.list_analyzers {
        return analyze::list(&format);
    }
    if arguments.use_kube {
        return Err(without_cluster("analyze reads a live cluster unless told otherwise")
            .next("istioctl analyze --use-kube=false FILE"));
    }
    let paths = gather(&arguments.files, arguments.recursive)?;
    let workload = Workload {
        namespace: namespace.into(),
        root_namespace: root_namespace.into(),
        ..Workload::default()
    };
    let loaded = fuseboard_config::load_paths_in(&paths, namespace);
    let (mut found, unreadable) = analyze::findings(loaded, &workload);
    if !arguments.all_namespaces {
        found.retain(|one| concerns(one, namespace));
    }
    choice.suppress(&mut found);
    let shown = choice.shown(&found);
    analyze::print(&shown, &format)?;
    if shown.is_empty() && format == "log" {
        // istioctl ends an empty list with a line end, too.
        output::out("");
    }
    let target = if arguments.all_namespaces {
        "all namespaces".to_owned()
    } else {
        format!("namespace: {namespace}")
    };
    if shown.is_empty() && !unreadable {
        let analyzed = if paths.is_empty() { target.clone() } else { list(&paths) };
        output::note(format_args!("✔ No validation issues found when analyzing {analyzed}."));
    }
    Ok(match format.as_str() {
        "log" if unreadable => Exit::BadInput,
        "log" if choice.fails(&found) => {
            output::note(format_args!(
                "Error: Analyzers found issues when analyzing {target}.\nSee `fuseboard help CODE` for more information about causes and resolutions."
            ));
            Exit::Findings
        }
        _ => Exit::Ok,
    })
}

/// Whether it is of this namespace, or of none.
fn concerns(diagnostic: &Diagnostic, namespace: &str) -> bool {
    diagnostic
        .resource
        .as_ref()
        .is_none_or(|resource| resource.namespace.is_empty() || &*resource.namespace == namespace)
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n")
}

/// The files that istioctl would read; it says which it skips.
fn gather(named: &[PathBuf], recursive: bool) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() && !recursive {
            let mut inside: Vec<PathBuf> =
                fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
            inside.retain(|path| !path.is_dir());
            inside.sort();
            files.extend(inside.into_iter().filter(|file| is_read(file)));
        } else if path.is_dir() || path.as_os_str() == "-" || !path.exists() || is_read(path) {
            // What is not there is told as such further on.
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn is_read(path: &Path) -> bool {
    let is_known = path.extension().is_some_and(|ending| EXTENSIONS.iter().any(|known| ending == *known));
    if !is_known {
        output::note(format_args!(
            "Skipping file {}, recognized file extensions are: [.json .yaml .yml]",
            path.display()
        ));
    }
    is_known
}
