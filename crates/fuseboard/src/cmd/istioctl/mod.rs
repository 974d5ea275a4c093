//! The binary under the name `istioctl`: what of it needs neither Kubernetes nor Istio's control plane, with its flags, its
//! tables and its exit codes.

mod analyze;
mod version;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

use super::{completion, proxy_config};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Fuseboard under the name of Istio's command line
#[derive(Parser)]
#[command(
    name = "istioctl",
    disable_help_subcommand = true,
    after_help = "Examples:
  istioctl analyze --use-kube=false rules/*.yaml
  istioctl proxy-config cluster --fqdn httpbin
  istioctl pc endpoint --file clusters.json
  istioctl version --remote=false

This is Fuseboard, which reads files and its own running proxies; a cluster
cannot be read yet. Everything else that Fuseboard does: fuseboard help."
)]
struct Arguments {
    /// Namespace of files that name none, and of what is looked at
    #[arg(short, long, global = true, value_name = "NS", default_value = "default")]
    namespace: String,
    /// Namespace whose rules are looked at last
    #[arg(short, long = "istioNamespace", global = true, value_name = "NS", default_value = "istio-system")]
    istio_namespace: String,
    /// Refused: there is no cluster to read
    #[arg(long, global = true, hide = true)]
    context: Option<String>,
    /// Refused: there is no cluster to read
    #[arg(long, global = true, hide = true)]
    kubeconfig: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Analyze(analyze::Arguments),
    #[command(visible_alias = "pc")]
    ProxyConfig(proxy_config::Arguments),
    Version(version::Arguments),
    Completion(completion::Arguments),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// The definition of its arguments, for completion and for tests of what pages say.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(args: &[OsString]) -> Outcome {
    let name = OsString::from("istioctl");
    let arguments = match Arguments::try_parse_from(std::iter::once(&name).chain(args)) {
        Ok(arguments) => arguments,
        // Help is asked for, and is no error.
        Err(error) if !error.use_stderr() => {
            output::out_raw(&error.render().ansi().to_string());
            return Ok(Exit::Ok);
        }
        Err(error) => {
            output::note_raw(&error.render().ansi().to_string());
            return Ok(Exit::IstioctlUsage);
        }
    };
    dispatch(arguments).map_err(|failure| match failure.exit {
        Exit::Usage => Failure { exit: Exit::IstioctlUsage, ..failure },
        _ => failure,
    })
}

fn dispatch(arguments: Arguments) -> Outcome {
    if arguments.context.is_some() || arguments.kubeconfig.is_some() {
        return Err(without_cluster("--context and --kubeconfig name a cluster"));
    }
    match arguments.command {
        Some(Command::Analyze(asked)) => {
            analyze::run(&asked, &arguments.namespace, &arguments.istio_namespace)
        }
        Some(Command::ProxyConfig(asked)) => proxy_config::run(&asked),
        Some(Command::Version(asked)) => version::run(&asked),
        Some(Command::Completion(asked)) => Ok(completion::run(&asked, command())),
        Some(Command::Other(words)) => Err(unknown(&words)),
        None => {
            output::out_raw(&command().render_long_help().ansi().to_string());
            Ok(Exit::Ok)
        }
    }
}

/// What needs a cluster is refused: an answer without it would look like one about it.
fn without_cluster(what: &str) -> Failure {
    Failure::message(Exit::Usage, format_args!("{what}, and Kubernetes as a source is not there yet"))
}

/// Commands of istioctl that are there under a name of our own.
const ELSEWHERE: [(&[&str], &str); 3] = [
    (&["experimental", "envoy-stats"], "fuseboard stats"),
    (&["experimental", "metrics"], "fuseboard stats -o prometheus"),
    (&["dashboard", "envoy"], "fuseboard admin request GET help"),
];

/// What is typed here for an experimental command or a dashboard, where that exists.
fn elsewhere(words: &[OsString]) -> Option<&'static str> {
    let full = |word: &OsString| match word.to_string_lossy().as_ref() {
        "x" | "exp" => "experimental".to_owned(),
        "d" | "dash" => "dashboard".to_owned(),
        "es" => "envoy-stats".to_owned(),
        word => word.to_owned(),
    };
    let words: Vec<String> = words.iter().take(2).map(full).collect();
    ELSEWHERE.iter().find(|(theirs, _)| *theirs == words).map(|(_, ours)| *ours)
}

fn unknown(words: &[OsString]) -> Failure {
    let word = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    let command = command();
    let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let failure = Failure::message(
        Exit::Usage,
        format_args!("this is Fuseboard as istioctl, without `{word}`; it has {}", known.join(", ")),
    );
    match (elsewhere(words), fuseboard_config::nearest(&word, known.into_iter())) {
        (Some(ours), _) => failure.next(ours),
        (None, Some(nearest)) => failure.next(format!("istioctl {nearest}")),
        (None, None) => failure.next("istioctl --help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_another_name_here_is_named() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for line in ["x envoy-stats httpbin", "experimental es httpbin -o prom", "exp envoy-stats"] {
            assert_eq!(elsewhere(&words(line)), Some("fuseboard stats"), "{line}");
        }
        assert_eq!(elsewhere(&words("x authz check")), None);
    }

    #[test]
    fn every_name_of_ours_is_a_command() {
        for (_, ours) in ELSEWHERE {
            let line = ours.split(' ');
            assert!(crate::tree::fuseboard().try_get_matches_from(line).is_ok(), "{ours}");
        }
    }
}
