//! The binary under the name `fortio`: its commands that are here, printing what fortio prints and nothing else, and of
//! the others why they are not.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use fuseboard_load::go::flag::{self, Flag, Parsed};
use fuseboard_load::{FORTIO_VERSION, Style};

use super::server::{self, Servers};
use super::{load, nc, report};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Commands of fortio that are here.
const PRESENT: &str = "load, curl, nc, report, server, redirect, tcp-echo, udp-echo, version and buildinfo";

/// Commands of fortio that are not here, and why or what does it instead.
const ABSENT: &[(&str, &str)] = &[
    ("grpcping", "gRPC is not supported"),
    ("proxies", "`fuseboard run` proxies, by Istio's rules"),
    ("script", "there is no scripting; `fuseboard load` runs from any shell"),
];

const NC_FLAGS: &[Flag] = &[
    Flag { name: "nc-dont-stop-on-eof", value: None, help: "", default: "" },
    Flag { name: "loglevel", value: Some("level"), help: "", default: "Info" },
    Flag { name: "quiet", value: None, help: "", default: "" },
];

const REPORT_FLAGS: &[Flag] =
    &[Flag { name: "data-dir", value: Some("directory"), help: "Where saved results are", default: "." }];

pub(crate) fn run(args: &[OsString]) -> Outcome {
    let Some((command, rest)) = args.split_first() else { return Ok(wrong("Missing command argument")) };
    match command.to_string_lossy().as_ref() {
        "load" => load::call(rest, Style::Fortio, false),
        "curl" => load::call(rest, Style::Fortio, true),
        "nc" => talk(rest),
        "report" => show(rest),
        "server" => server::call(Servers::All, rest, Style::Fortio),
        "redirect" => server::call(Servers::Redirect, rest, Style::Fortio),
        "tcp-echo" => server::call(Servers::Tcp, rest, Style::Fortio),
        "udp-echo" => server::call(Servers::Udp, rest, Style::Fortio),
        "version" => {
            output::out(FORTIO_VERSION);
            Ok(Exit::Ok)
        }
        "buildinfo" => {
            output::out(build());
            Ok(Exit::Ok)
        }
        "envhelp" => {
            output::out_raw(&environment());
            Ok(Exit::Ok)
        }
        "help" | "-h" | "-help" | "--help" => {
            output::out_raw(&fuseboard_load::usage(Style::Fortio));
            Ok(Exit::Ok)
        }
        other => Ok(match ABSENT.iter().find(|(name, _)| *name == other) {
            Some((_, why)) => wrong(&format!("Error: no command {other:?} in Fuseboard as fortio: {why}")),
            None => wrong(&format!(
                "Error: unknown command {other:?}: this is Fuseboard as fortio, with {PRESENT}"
            )),
        }),
    }
}

/// fortio's way: the usage text, then what is wrong, and exit code 1.
fn wrong(message: &str) -> Exit {
    output::note_raw(&fuseboard_load::usage(Style::Fortio));
    output::note(message);
    Exit::Error
}

fn parsed(flags: &[Flag], args: &[OsString]) -> Result<Parsed, Failure> {
    let words: Vec<String> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    flag::parse(flags, &words).map_err(|error| Failure::new(Exit::Usage, error))
}

/// `fortio nc`, which prints the server's answers to stderr.
fn talk(args: &[OsString]) -> Outcome {
    struct Stderr;
    impl Write for Stderr {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            output::note_bytes(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let Parsed { flags, rest } = parsed(NC_FLAGS, args)?;
    let destination = match rest.as_slice() {
        [destination] => destination.clone(),
        [host, port] => format!("{host}:{port}"),
        _ => return Ok(wrong("Error: fortio nc needs a host:port or host port destination")),
    };
    let mut wait_for_input = false;
    for (name, value) in &flags {
        if *name == "nc-dont-stop-on-eof" {
            wait_for_input = flag::boolean(name, value).map_err(|error| Failure::new(Exit::Usage, error))?;
        }
    }
    nc::talk(&destination, wait_for_input, &mut Stderr)
        .map_err(|failure| Failure { exit: Exit::Error, ..failure })
}

/// `fortio report`, which serves a page of what is printed here.
fn show(args: &[OsString]) -> Outcome {
    let Parsed { flags, rest } = parsed(REPORT_FLAGS, args)?;
    let folder = flags.last().map_or(".", |(_, folder)| folder.as_str());
    let files: Vec<PathBuf> =
        if rest.is_empty() { vec![folder.into()] } else { rest.iter().map(PathBuf::from).collect() };
    output::note("fortio report serves saved results as a web page; Fuseboard prints them");
    report::show(&files, false)
}

fn build() -> String {
    let (version, os, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{FORTIO_VERSION} fuseboard {version} {arch} {os}\npath\tfuseboard\nbuild\tprofile={profile}")
}

fn environment() -> String {
    let line = |name: &str| format!("{name}={}\n", std::env::var(name).unwrap_or_default());
    let names = ["NO_COLOR", "CLICOLOR_FORCE"].map(line).concat();
    format!("# Environment variables recognized and current values:\n{names}")
}
