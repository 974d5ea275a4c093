//! `fuseboard explain`: what will happen to the next request of a service, and which rule, file and line says so.

use std::path::PathBuf;

use clap::Args;
use fuseboard_admin::Wanted;
use fuseboard_admin::explain::{self, ExplainedSetting, Explanation, Explanations};
use fuseboard_config::{ListenPlan, Workload};

use crate::asking::{self, Target};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Say what a service's limits mean: what happens to the next request, whose rule says so, when a host is ejected
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard explain httpbin
  fuseboard explain -f rules/ httpbin.default:8000
  fuseboard explain -f rules/ -n web payments -o json

With -f it reads files and starts nothing; without, it asks a running proxy. What
is said holds for one proxy: each has the limits for itself.")]
pub(crate) struct Arguments {
    /// Service: httpbin, httpbin.default or in full, with :PORT for one port; default: all
    #[arg(value_name = "HOST", value_parser = Wanted::parse)]
    service: Option<Wanted>,
    /// File or folder with rules and services; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "PATH", conflicts_with = "admin")]
    files: Vec<PathBuf>,
    /// With -f: namespace of the client
    #[arg(short, long, value_name = "NS", default_value = "default", requires = "files")]
    namespace: String,
    #[command(flatten)]
    target: Target,
    /// text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (mut found, exit) = if arguments.files.is_empty() {
        (asking::document(&arguments.target.client()?, "/fuseboard/v1/explain")?, Exit::Ok)
    } else {
        of_files(arguments)
    };
    choose(&mut found, arguments)?;
    if arguments.output == "json" {
        output::out_raw(&asking::pretty(&found)?);
    } else {
        let sections: Vec<String> = found.clusters.iter().map(section).collect();
        output::out_raw(&sections.join("\n"));
    }
    Ok(exit)
}

/// What the files say; problems go to the person, and where something is left out because of them the exit code says so.
fn of_files(arguments: &Arguments) -> (Explanations, Exit) {
    let workload = Workload { namespace: arguments.namespace.as_str().into(), ..Workload::default() };
    let (resources, mut problems) = fuseboard_config::load_paths(&arguments.files);
    let (snapshot, found) =
        fuseboard_config::resolve(&resources, &workload, &ListenPlan::outbound(Vec::new()), 1);
    problems.append(found);
    problems.append(fuseboard_config::analyze(&resources, &workload));
    problems.sort();
    output::diagnostics(&problems);
    let complete = resources.rejected.is_empty() && resources.unreadable.is_empty();
    (explain::of_snapshot(&snapshot), if complete { Exit::Ok } else { Exit::BadInput })
}

fn choose(found: &mut Explanations, arguments: &Arguments) -> Result<(), Failure> {
    let known = found.clusters.first().map(|cluster| cluster.service.host.clone());
    if let Some(wanted) = &arguments.service {
        found.clusters.retain(|cluster| {
            let service = &cluster.service;
            wanted.is(&service.host, &service.name, &service.namespace, service.port)
        });
    }
    if !found.clusters.is_empty() {
        return Ok(());
    }
    let where_from = if arguments.files.is_empty() { "the proxy has" } else { "the files have" };
    Err(match known {
        Some(known) => Failure::message(Exit::Error, format_args!("{where_from} no such service"))
            .next(format!("fuseboard explain {}{known}", named(&arguments.files))),
        None => Failure::message(Exit::Error, format_args!("{where_from} no service"))
            .next("add the Service and its EndpointSlice, or a ServiceEntry"),
    })
}

fn named(files: &[PathBuf]) -> String {
    files.iter().map(|file| format!("-f {} ", file.display())).collect::<Vec<_>>().concat()
}

fn section(told: &Explanation) -> String {
    let rule = told.rule.as_deref().unwrap_or("no rule: Istio's defaults");
    let name = output::styled(output::STRONG, &told.cluster);
    let mut text = format!("{name}\n{rule}\n\n");
    for sentence in told.reached.iter().chain(&told.requests).chain(&told.ejection).chain(&told.order) {
        text.extend(wrapped(sentence));
    }
    text.push('\n');
    let longest = told.settings.iter().map(|setting| setting.value.chars().count()).max();
    let width = longest.map_or(0, |longest| longest + 2).max(16);
    for setting in &told.settings {
        text.push_str(&value(setting, width));
    }
    text
}

/// A line with the value and its place, and one with what it means.
fn value(setting: &ExplainedSetting, width: usize) -> String {
    let from = match &setting.from {
        None => output::styled(output::FAINT, "default").to_string(),
        Some(rule) => {
            let whose = format!("{} {}.{}", rule.kind, rule.name, rule.namespace);
            match rule.file.as_str() {
                "" => whose,
                file => format!(
                    "{}  {whose}",
                    output::styled(output::STRONG, format_args!("{file}:{}", rule.line))
                ),
            }
        }
    };
    let name = output::padded(output::STRONG, &setting.setting, 32);
    let value = output::padded(anstyle::Style::new(), &setting.value, width);
    format!("  {name}{value}{from}\n    {}\n", output::styled(output::FAINT, &setting.meaning))
}

/// A sentence in lines of 80 columns at most, behind two blanks.
fn wrapped(sentence: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::from(" ");
    for word in sentence.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > 80 {
            lines.push(line + "\n");
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push(line + "\n");
    lines
}
