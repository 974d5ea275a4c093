//! `fuseboard help`: a command, a topic, a refusal reason, a response flag or a diagnostic.

use clap::{Args, Command};
use fuseboard_load::Style;

use crate::exit::{Exit, Failure, Outcome};
use crate::{help, output};

/// Explain a command, a topic, a refusal reason, a response flag or a diagnostic
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard help topics
  fuseboard help run
  fuseboard help limit.queue_full
  fuseboard help FB001
  fuseboard help exit-codes -o json")]
pub(crate) struct Arguments {
    /// A command with its subcommands, or a word that `fuseboard help topics` leads to
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// text or json; json for what is not a command
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

pub(crate) fn run(arguments: &Arguments, mut tree: Command) -> Outcome {
    tree.build();
    if let Some(command) = walk(&mut tree, &arguments.words) {
        let text = help_of(command);
        output::out_raw(&text);
        return Ok(Exit::Ok);
    }
    let [word] = arguments.words.as_slice() else { return Err(unknown(&arguments.words, &tree)) };
    let page = help::find(word).ok_or_else(|| unknown(&arguments.words, &tree))?;
    match arguments.output.as_str() {
        "json" => output::out(format_args!("{:#}", page.to_json())),
        _ => output::out_raw(&page.text),
    }
    Ok(Exit::Ok)
}

/// The command at the end of `words`; `None` where one of them is no command.
fn walk<'a>(tree: &'a mut Command, words: &[String]) -> Option<&'a mut Command> {
    words.iter().try_fold(tree, |command, word| command.find_subcommand_mut(word))
}

fn help_of(command: &mut Command) -> String {
    match command.get_name() {
        // These read fortio's flags themselves, and say themselves what they are.
        "load" | "curl" => fuseboard_load::usage(Style::Fuseboard),
        _ => command.render_long_help().ansi().to_string(),
    }
}

fn unknown(words: &[String], tree: &Command) -> Failure {
    let word = words.join(" ");
    let pages: Vec<&'static str> = help::words().collect();
    let known = tree.get_subcommands().map(Command::get_name).chain(pages.iter().copied());
    let nearest = fuseboard_config::nearest(&word, known);
    let message = format!("no command, topic, reason, flag or diagnostic is called `{word}`");
    let failure = Failure::message(Exit::Usage, message);
    match nearest {
        Some(nearest) => failure.next(format!("fuseboard help {nearest}")),
        None => failure.next("fuseboard help topics"),
    }
}
