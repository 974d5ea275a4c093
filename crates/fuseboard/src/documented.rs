//! Every command line that a page shows is one that the binary takes: README, docs, examples, and the help texts themselves.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use fuseboard_load::{CommandLine, Style, UsageError, go::flag::FlagError};

use crate::{Arguments, help, tree};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// README, CONTRIBUTING and everything below docs/ and examples/.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root().join("docs"), root().join("examples")];
    for entry in fs::read_dir(root()).unwrap() {
        pages.push(entry.unwrap().path());
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { &mut folders } else { &mut pages }.push(path);
        }
    }
    let is_page = |path: &PathBuf| path.extension().is_some_and(|end| end == "md" || end == "yaml");
    pages.retain(is_page);
    pages
}

/// The commands in a text: a line of a console block or of a help's examples, a comment in a file, and what stands between
/// back quotes.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start_matches(['$', '#', ' ']);
        // What comes behind `||` shows a command that fails, on purpose.
        if line.contains(" || ") {
            continue;
        }
        let line = masked(line);
        let quoted = line.split('`').skip(1).step_by(2);
        for part in quoted.chain([line.as_str()]) {
            // A pipe, a comment and a redirection are the shell's.
            let own = [" | ", " # ", " > ", " 2>&1"].iter().fold(vec![part], |parts, mark| {
                parts.into_iter().flat_map(|part| part.split(*mark)).collect()
            });
            let own = own.into_iter().map(str::trim);
            let own = own.map(|part| {
                part.strip_prefix("cargo run --release -- ")
                    .map_or_else(|| part.to_owned(), |rest| format!("fuseboard {rest}"))
            });
            found.extend(own.filter(|part| is_command(part)).map(|part| part.replace(MASK, " ")));
        }
    }
    found
}

/// Stands for a blank inside single quotes.
const MASK: char = '\u{a0}';

/// With the blanks inside single quotes masked, so that no mark of the shell is seen there.
fn masked(line: &str) -> String {
    let part = |(index, part): (usize, &str)| {
        if index % 2 == 1 { part.replace(' ', &MASK.to_string()) } else { part.to_owned() }
    };
    line.split('\'').enumerate().map(part).collect::<Vec<_>>().join("'")
}

/// A command, not a sentence that begins with the name, and not a usage line.
fn is_command(part: &str) -> bool {
    if part.contains("[FLAGS]") {
        return false;
    }
    let mut words = part.split(' ');
    let name = words.next();
    let verb = words.next().unwrap_or_default();
    let has = |command: clap::Command| {
        command.get_subcommands().any(|known| known.get_name_and_visible_aliases().contains(&verb))
    };
    match name {
        Some("fuseboard" | "fortio") => has(Arguments::command()),
        Some("istioctl") => has(crate::cmd::istioctl::command()),
        Some("pilot-agent") => has(crate::cmd::pilot_agent::command()),
        _ => false,
    }
}

/// Words as a shell makes them, single quotes taken off.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn check(line: &str) -> Result<(), String> {
    let words = words(line);
    match (words[0].as_str(), words[1].as_str()) {
        ("istioctl", _) => accepted(crate::cmd::istioctl::command(), &words),
        ("pilot-agent", _) => accepted(crate::cmd::pilot_agent::command(), &words),
        (_, "load" | "curl") => {
            let style = if words[0] == "fortio" { Style::Fortio } else { Style::Fuseboard };
            match CommandLine::parse(&words[2..], style) {
                // A flag's name alone, and the command's alone, may be mentioned.
                Ok(_) | Err(UsageError::NoUrl { .. } | UsageError::Flag(FlagError::Help)) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        }
        (_, "server") => crate::cmd::server::check(&words[2..]),
        _ => accepted(Arguments::command(), &words),
    }
}

fn accepted(command: clap::Command, words: &[String]) -> Result<(), String> {
    use clap::error::ErrorKind::{DisplayHelp, MissingRequiredArgument};
    match command.try_get_matches_from(words) {
        Ok(_) => Ok(()),
        // A page may speak of a command without its arguments; each argument that it does name must exist.
        Err(error) if matches!(error.kind(), DisplayHelp | MissingRequiredArgument) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_command_line_of_every_page_is_accepted() {
    let mut count = 0;
    for page in pages() {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            count += 1;
            if let Err(error) = check(&command) {
                panic!("{}: `{command}`: {error}", page.display());
            }
        }
    }
    assert!(count > 20, "only {count} commands were found");
}

#[test]
fn every_example_of_a_help_text_is_accepted() {
    let mut texts: Vec<String> = help::words().map(|word| help::find(word).unwrap().text).collect();
    add_helps(&mut tree::fuseboard(), &mut texts);
    add_helps(&mut crate::cmd::istioctl::command(), &mut texts);
    let examples: Vec<String> = texts.iter().flat_map(|text| commands(text)).collect();
    assert!(examples.len() > 15, "{examples:#?}");
    for example in examples {
        assert_eq!(check(&example), Ok(()), "{example}");
    }
}

fn add_helps(command: &mut clap::Command, texts: &mut Vec<String>) {
    texts.push(command.render_long_help().to_string());
    command.get_subcommands_mut().for_each(|inner| add_helps(inner, texts));
}

/// Names of environment variables that a source text asks for.
fn variables(text: &str) -> Vec<&str> {
    let calls = ["env::var(\"", "env::var_os(\""];
    let found = calls.iter().flat_map(|call| text.split(call).skip(1));
    found.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_variable_that_is_looked_at_is_told() {
    let told = help::find("environment").unwrap().text;
    assert!(told.contains(fuseboard_admin::instance::VARIABLE));
    let mut folders = vec![root().join("crates")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !path.iter().any(|part| part == "tests")
            {
                let text = fs::read_to_string(&path).unwrap();
                for name in variables(&text).into_iter().filter(|name| *name != "FUSEBOARD_BLESS") {
                    assert!(
                        told.contains(name),
                        "`fuseboard help environment` lacks {name} of {}",
                        path.display()
                    );
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 0, "XDG_RUNTIME_DIR at least");
}

#[test]
fn a_wrong_flag_in_a_page_is_found() {
    assert_eq!(commands("$ fuseboard why --lst 5m | less"), ["fuseboard why --lst 5m"]);
    assert!(check("fuseboard why --lst 5m").is_err());
    assert!(check("fuseboard load -qqs 0 http://a/").is_err());
    assert!(check("istioctl analyze --use-kub=false rules/").is_err());
    assert!(check("pilot-agent request --port 1 GET stats").is_err());
    assert!(commands("Fuseboard why not. fuseboard is a proxy").is_empty());
}
