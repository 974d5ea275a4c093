//! `fuseboard version`.

use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::output;

/// Print the version
#[derive(Args)]
#[command(after_help = "Examples:\n  fuseboard version\n  fuseboard version -o json")]
pub(crate) struct Arguments {
    /// text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.output == "json" {
        let document = json!({
            "apiVersion": "fuseboard.dev/v1",
            "version": version,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        });
        output::out(format_args!("{document:#}"));
    } else {
        output::out(format_args!("fuseboard {version}"));
    }
    Exit::Ok
}
