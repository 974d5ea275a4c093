//! The binary under the name `fortio`: `load`, `curl` and `version`, printing what fortio prints and nothing else.

use std::ffi::OsString;

use fuseboard_load::{FORTIO_VERSION, Style};

use super::load;
use crate::exit::{Exit, Outcome};
use crate::output;

pub(crate) fn run(args: &[OsString]) -> Outcome {
    let command = args.first().and_then(|command| command.to_str()).unwrap_or("help");
    match command {
        "load" => load::call(&args[1..], Style::Fortio, false),
        "curl" => load::call(&args[1..], Style::Fortio, true),
        "version" => {
            output::out(FORTIO_VERSION);
            Ok(Exit::Ok)
        }
        "help" | "-h" | "-help" | "--help" => {
            output::out_raw(&fuseboard_load::usage(Style::Fortio));
            Ok(Exit::Ok)
        }
        other => {
            output::note(format_args!(
                "Error: unknown command {other:?}: this is Fuseboard as fortio, with load, curl and version"
            ));
            Ok(Exit::Error)
        }
    }
}
