//! `fuseboard analyze`: every problem of the files at once, without starting anything.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, ValueHint};
use fuseboard_config::diagnostic::render;
use fuseboard_config::{Code, Diagnostics, ListenPlan, ResourceSet, Severity, Suppression, Workload};
use serde_json::Value;

use crate::exit::{Exit, Failure, Outcome};
use crate::{document, help, output};

/// Check rules and services and print every problem at once, with its place and what to write instead
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard analyze rules/
  fuseboard analyze dr.yaml --failure-threshold warning
  fuseboard analyze rules/ -o json
  fuseboard analyze rules/ -S 'FB005=DestinationRule *.default'
  fuseboard analyze -L

Exit codes: 0 nothing at or above the threshold; 79 something; 65 a file can't
be read as resources. What a code means: fuseboard help FB001.")]
pub(crate) struct Arguments {
    /// Files, and folders with all folders below them; - is standard input
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// File or folder; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    /// text with an excerpt of the file, log (one line each, as istioctl), json or yaml
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "log", "json", "yaml"])]
    output: String,
    /// Namespace of the client whose view is checked
    #[arg(short, long, value_name = "NS", default_value = "default")]
    namespace: String,
    /// Findings of all namespaces; they are always shown, and istioctl's flag is taken
    #[arg(short = 'A', long, hide = true)]
    all_namespaces: bool,
    /// Folders with all folders below them; they are always read so, and istioctl's flag is taken
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
    /// Read a cluster too; not there yet, so false is the only choice
    #[arg(short = 'k', long, value_name = "BOOL", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    use_kube: bool,
}

/// Which findings are told, and which fail; the same under the name istioctl.
#[derive(Args)]
pub(super) struct Choice {
    /// Severity from which the exit code is 79
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "error", ignore_case = true)]
    failure_threshold: Level,
    /// Least severity to print
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "info", ignore_case = true)]
    output_threshold: Level,
    /// Say nothing of this code for these resources: CODE=KIND NAME.NAMESPACE, where * stands for anything; may be repeated
    #[arg(short = 'S', long, value_name = "CODE=RESOURCE")]
    suppress: Vec<Suppression>,
    /// List the codes there are, and stop
    #[arg(short = 'L', long)]
    pub(super) list_analyzers: bool,
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
    let choice = &arguments.choice;
    if choice.list_analyzers {
        return list(&arguments.output);
    }
    let paths: Vec<PathBuf> = arguments.paths.iter().chain(&arguments.files).cloned().collect();
    if arguments.use_kube {
        return Err(Failure::message(Exit::Usage, "a cluster cannot be read yet")
            .next("write its resources into files: kubectl get -A -o yaml services,endpoints,destinationrules,serviceentries > all.yaml"));
    }
    if paths.is_empty() {
        return Err(Failure::message(Exit::Usage, "nothing to analyze").next("fuseboard analyze PATH"));
    }
    let workload = Workload { namespace: arguments.namespace.as_str().into(), ..Workload::default() };
    let (mut found, unreadable) = findings(fuseboard_config::load_paths(&paths), &workload);
    choice.suppress(&mut found);
    let shown = choice.shown(&found);
    print(&shown, &arguments.output)?;
    if matches!(arguments.output.as_str(), "text" | "log") {
        output::note(summary(&found, paths.len()));
    }
    Ok(match unreadable {
        true => Exit::BadInput,
        false if choice.fails(&found) => Exit::Findings,
        false => Exit::Ok,
    })
}

impl Choice {
    /// Takes out what nobody wants to hear of; says which codes have no effect.
    pub(super) fn suppress(&self, found: &mut Diagnostics) {
        for code in self.suppress.iter().filter_map(Suppression::unknown_code) {
            output::note(format_args!(
                "Warning: Supplied message code '{code}' is an unknown message code and will not have any effect."
            ));
        }
        found.retain(|one| !self.suppress.iter().any(|suppression| suppression.covers(one)));
    }

    pub(super) fn shown(&self, found: &Diagnostics) -> Diagnostics {
        let mut shown = found.clone();
        shown.retain(|one| one.severity >= self.output_threshold.into());
        shown
    }

    pub(super) fn fails(&self, found: &Diagnostics) -> bool {
        found.worst().is_some_and(|worst| worst >= self.failure_threshold.into())
    }
}

/// All problems in the order of the files, and whether a file could not be read as resources at all.
pub(super) fn findings(
    (resources, mut found): (ResourceSet, Diagnostics),
    workload: &Workload,
) -> (Diagnostics, bool) {
    let (_, problems) = fuseboard_config::resolve(&resources, workload, &ListenPlan::outbound(Vec::new()), 1);
    found.append(problems);
    found.append(fuseboard_config::analyze(&resources, workload));
    found.sort();
    (found, !resources.unreadable.is_empty())
}

/// The findings as data.
pub(super) fn print(shown: &Diagnostics, format: &str) -> Result<(), Failure> {
    match format {
        "json" => output::out(render::json(shown)),
        "yaml" => {
            let entries: Value = serde_json::from_str(&render::json(shown)).map_err(anyhow::Error::from)?;
            output::out_raw(&document::yaml(&entries)?);
        }
        "log" => output::diagnostic_lines(shown),
        _ => output::diagnostics_as_data(shown),
    }
    Ok(())
}

/// Every code, as istioctl lists its analyzers, or as a document.
pub(super) fn list(format: &str) -> Outcome {
    let page = || help::find("diagnostics").map(|page| page.to_json());
    match format {
        "json" => output::out_raw(&document::json(&page(), "  ")?),
        "yaml" => output::out_raw(&document::yaml(&page())?),
        _ => {
            for code in Code::ALL {
                let entry = code.entry();
                output::out(format_args!("* {} {}:", entry.id, entry.name));
                let text = entry.text().replace('\n', " ");
                output::out(format_args!("    {}: {text}", entry.severity.as_str()));
            }
        }
    }
    Ok(Exit::Ok)
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
