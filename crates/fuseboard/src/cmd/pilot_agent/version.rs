//! `pilot-agent version`: our version in the shapes of Istio's.

use clap::{ArgAction, Args};
use serde_json::json;

use crate::exit::Exit;
use crate::output;

/// What Istio writes where a build does not know.
const UNKNOWN: &str = "unknown";

/// Print the version
#[derive(Args)]
pub(super) struct Arguments {
    /// One of yaml, json; default: a line of text
    #[arg(short, long, value_name = "FORMAT", value_parser = ["yaml", "json"])]
    output: Option<String>,
    /// The version alone; --short=false for all that is known of the build
    #[arg(short, long, action = ArgAction::Set, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    short: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    let fields = [("revision", UNKNOWN), ("status", UNKNOWN), ("tag", UNKNOWN), ("version", version)];
    match arguments.output.as_deref() {
        Some("json") => {
            let info: serde_json::Map<_, _> =
                fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            output::out(format_args!("{:#}", json!({ "clientVersion": info })));
        }
        Some(_) => {
            output::out("clientVersion:");
            for (name, value) in fields {
                output::out(format_args!("  {name}: {value}"));
            }
        }
        None if arguments.short => output::out(format_args!("client version: {version}")),
        None => output::out(format_args!(
            "client version: version.BuildInfo{{Version:{version:?}, GitRevision:{UNKNOWN:?}, BuildStatus:{UNKNOWN:?}, \
             GitTag:{UNKNOWN:?}}}"
        )),
    }
    Exit::Ok
}
