//! `fuseboard report`: saved results of `load` and of fortio, side by side.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use fuseboard_load::{Saved, SavedError};

use crate::exit::{Exit, Failure, Outcome};
use crate::output;

const SAVE_ONE: &str = "save one with `fuseboard load -a` or `-json result.json`";

/// Show saved results of load and of fortio, side by side
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard load -json before.json -c 8 -qps 100 -t 30s http://127.0.0.1:9000/get
  fuseboard load -json after.json -c 8 -qps 100 -t 30s http://127.0.0.1:9000/get
  # what changed, in percent of the first
  fuseboard report before.json after.json
  # everything that load -a saved here, oldest first
  fuseboard report .
  fuseboard report -o json before.json after.json")]
pub(crate) struct Arguments {
    /// Results saved with -json or -a, or folders of them
    #[arg(value_name = "FILE", default_value = ".")]
    files: Vec<PathBuf>,
    /// text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    show(&arguments.files, arguments.output == "json")
}

/// Prints the results in these files and folders.
pub(crate) fn show(files: &[PathBuf], as_json: bool) -> Outcome {
    let mut results = Vec::new();
    for path in files {
        if path.is_dir() {
            results.extend(read_folder(path)?);
        } else {
            results.push(read(path)?.map_err(|error| bad_input(path, &error))?);
        }
    }
    if results.is_empty() {
        let folders: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::message(Exit::Error, format_args!("no saved result in {}", folders.join(", ")))
            .next(SAVE_ONE));
    }
    if as_json {
        output::out(format_args!("{:#}", fuseboard_load::document(&results)));
    } else {
        output::out_raw(&fuseboard_load::table(&results));
    }
    Ok(Exit::Ok)
}

/// The results of a folder, oldest first; other files are none of our business.
fn read_folder(folder: &Path) -> Result<Vec<Saved>, Failure> {
    let mut results = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Ok(saved) = read(&path)?
        {
            results.push(saved);
        }
    }
    results.sort_by(|a, b| a.started().cmp(&b.started()).then_with(|| a.name.cmp(&b.name)));
    Ok(results)
}

fn read(path: &Path) -> Result<Result<Saved, SavedError>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Ok(Saved::read(name, &text))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::Error } else { Exit::BadInput };
    Failure::message(exit, format_args!("{}: {error}", path.display())).next(SAVE_ONE)
}

fn bad_input(path: &Path, error: &SavedError) -> Failure {
    Failure::message(Exit::BadInput, format_args!("{}: {error}", path.display()))
        .next("save a result with `fuseboard load -json result.json`")
}
