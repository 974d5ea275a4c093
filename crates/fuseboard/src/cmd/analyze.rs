//! `fuseboard analyze`: every problem of the files at once, without starting anything.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fuseboard_config::{Diagnostics, ListenPlan, Severity, Workload};

use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Check rules and services and print every problem at once, with its place and what to write instead
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard analyze -f rules/
  fuseboard analyze dr.yaml --failure-threshold warning
  fuseboard analyze -f rules/ -o json

Exit codes: 0 nothing at or above the threshold; 79 something; 65 a file can't
be read as resources. Codes are explained in docs/diagnostics.md.")]
pub(crate) struct Arguments {
    /// Files and folders; - is standard input
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// File or folder; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Severity from which the exit code is 79
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "error", ignore_case = true)]
    failure_threshold: Level,
    /// Least severity to print
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "info", ignore_case = true)]
    output_threshold: Level,
    /// text with an excerpt of the file, log (one line each, as istioctl), or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "log", "json"])]
    output: String,
    /// Namespace of the client whose view is checked
    #[arg(short, long, value_name = "NS", default_value = "default")]
    namespace: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Info,
    Warning,
    Error,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
            Level::Error => Self::Error,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let paths: Vec<PathBuf> = arguments.paths.iter().chain(&arguments.files).cloned().collect();
    if paths.is_empty() {
        return Err(Failure::message(Exit::Usage, "nothing to analyze").next("fuseboard analyze -f PATH"));
    }
    let (found, unreadable) = findings(&paths, arguments);
    let shown: Diagnostics = {
        let mut shown = Diagnostics::new();
        shown.extend(found.iter().filter(|one| one.severity >= arguments.output_threshold.into()).cloned());
        shown
    };
    match arguments.output.as_str() {
        "json" => output::out_raw(&fuseboard_config::diagnostic::render::json(&shown)),
        "log" => shown.iter().for_each(|one| output::out(fuseboard_config::diagnostic::render::line(one))),
        _ => output::diagnostics_as_data(&shown),
    }
    if arguments.output != "json" {
        output::note(summary(&found, paths.len()));
    }
    Ok(match found.worst() {
        _ if unreadable => Exit::BadInput,
        Some(worst) if worst >= arguments.failure_threshold.into() => Exit::Findings,
        _ => Exit::Ok,
    })
}

/// All problems in the order of the files, and whether a file could not be read as resources at all.
fn findings(paths: &[PathBuf], arguments: &Arguments) -> (Diagnostics, bool) {
    let workload = Workload { namespace: arguments.namespace.as_str().into(), ..Workload::default() };
    let (resources, mut found) = fuseboard_config::load_paths(paths);
    let (_, problems) =
        fuseboard_config::resolve(&resources, &workload, &ListenPlan::outbound(Vec::new()), 1);
    found.append(problems);
    found.append(fuseboard_config::analyze(&resources, &workload));
    found.sort();
    (found, !resources.unreadable.is_empty())
}

fn summary(found: &Diagnostics, paths: usize) -> String {
    if found.is_empty() {
        let good = output::styled(output::GOOD, "✔");
        return format!("{good} No validation issues found when analyzing {paths} path{}.", plural(paths));
    }
    let counts = [Severity::Error, Severity::Warning, Severity::Info].map(|severity| {
        let count = found.count(severity);
        format!(
            "{count} {}{}",
            severity.as_str().to_lowercase(),
            if severity == Severity::Info { "" } else { plural(count) }
        )
    });
    format!("{} finding{} ({}).", found.len(), plural(found.len()), counts.join(", "))
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
