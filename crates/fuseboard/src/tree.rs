//! The tree of all commands with all their flags, from which help, completion and manual pages are made.

use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use fuseboard_load::go::flag::Flag;

/// Every command of the binary under its own name. `load`, `curl` and `server` hand what they are given to fortio's grammar, so
/// their flags are added here, from the tables that the grammar reads.
pub(crate) fn fuseboard() -> Command {
    let tree = crate::Arguments::command();
    tree.mut_subcommands(|command| match command.get_name() {
        "load" => with_go_flags("load", &command),
        "curl" => with_go_flags("curl", &command),
        "server" => server(&command),
        _ => command,
    })
}

fn with_go_flags(name: &'static str, command: &Command) -> Command {
    let mut described =
        Command::new(name).disable_help_flag(true).after_help(format!("Examples:\n{}", examples(name)));
    if let Some(about) = command.get_about() {
        described = described.about(about.clone());
    }
    let url =
        Arg::new("URL").required(true).value_hint(ValueHint::Url).help("What to call; flags come before it");
    described.args(fuseboard_load::flags().map(go_flag)).arg(url)
}

fn server(command: &Command) -> Command {
    let described = Command::new("server").disable_help_flag(true).after_help(crate::cmd::server::EXAMPLES);
    let described = match command.get_about() {
        Some(about) => described.about(about.clone()),
        None => described,
    };
    described.args(crate::cmd::server::FLAGS.iter().map(go_flag))
}

fn go_flag(flag: &'static Flag) -> Arg {
    let default =
        if flag.default.is_empty() { String::new() } else { format!(" [default: {}]", flag.default) };
    let arg = Arg::new(flag.name).help(format!("{}{default}", flag.help));
    let mut letters = flag.name.chars();
    let arg = match (letters.next(), letters.next()) {
        (Some(letter), None) => arg.short(letter),
        _ => arg.long(flag.name),
    };
    match flag.value {
        Some("path") => arg.value_name("path").value_hint(ValueHint::FilePath),
        Some(value) => arg.value_name(value),
        None => arg.action(ArgAction::SetTrue),
    }
}

/// The lines of the usage text that show this command.
fn examples(command: &str) -> String {
    let usage = fuseboard_load::usage(fuseboard_load::Style::Fuseboard);
    let start = format!("  fuseboard {command} ");
    let lines = usage.lines().filter(|line| line.starts_with(&start) && !line.contains("[FLAGS]"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &mut Command, path: &str, look: &mut impl FnMut(&str, &mut Command)) {
        look(path, command);
        for inner in command.get_subcommands_mut() {
            let path = format!("{path} {}", inner.get_name());
            each(inner, &path, look);
        }
    }

    #[test]
    fn the_tree_is_sound() {
        fuseboard().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example_of_itself() {
        let mut missing = Vec::new();
        each(&mut fuseboard(), "fuseboard", &mut |path, command| {
            let help = command.render_long_help().to_string();
            let (_, examples) =
                help.split_once("Examples:\n").or(help.split_once("Example:\n")).unwrap_or_default();
            if !examples.lines().any(|line| line.starts_with("  ") && line.contains(path)) {
                missing.push(path.to_owned());
            }
        });
        assert_eq!(
            missing,
            Vec::<String>::new(),
            "their help has no section `Examples:` with the command in it"
        );
    }

    #[test]
    fn fortio_s_flags_are_in_it() {
        let tree = fuseboard();
        for command in ["load", "curl"] {
            let command = tree.find_subcommand(command).unwrap();
            for flag in fuseboard_load::flags() {
                let arg = command.get_arguments().find(|arg| arg.get_id() == flag.name).unwrap();
                assert_eq!(arg.get_long().is_none(), flag.name.len() == 1, "{}", flag.name);
            }
        }
    }
}
