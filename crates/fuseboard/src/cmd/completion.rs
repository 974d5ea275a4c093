//! `fuseboard completion`: what a shell needs to complete the command line.

use clap::{Args, Command, ValueEnum};
use clap_complete::Generator;

use crate::exit::Exit;
use crate::output;

/// Print a shell's completion script
#[derive(Args)]
#[command(after_help = "Examples:
  # for this shell
  source <(fuseboard completion bash)
  # for good
  fuseboard completion bash > ~/.local/share/bash-completion/completions/fuseboard
  fuseboard completion zsh > ~/.zfunc/_fuseboard
  fuseboard completion fish > ~/.config/fish/completions/fuseboard.fish")]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
    Nushell,
}

pub(crate) fn run(arguments: &Arguments, tree: Command) -> Exit {
    output::out_bytes(&script(arguments.shell, tree));
    Exit::Ok
}

fn script(shell: Shell, tree: Command) -> Vec<u8> {
    match shell {
        Shell::Bash => generate(clap_complete::Shell::Bash, tree),
        Shell::Zsh => generate(clap_complete::Shell::Zsh, tree),
        Shell::Fish => generate(clap_complete::Shell::Fish, tree),
        Shell::Powershell => generate(clap_complete::Shell::PowerShell, tree),
        Shell::Elvish => generate(clap_complete::Shell::Elvish, tree),
        Shell::Nushell => generate(clap_complete_nushell::Nushell, tree),
    }
}

fn generate(generator: impl Generator, mut tree: Command) -> Vec<u8> {
    let name = tree.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut tree, name, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_commands_and_fortio_s_flags() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell, crate::tree::fuseboard())).unwrap();
            for word in ["analyze", "failure-threshold", "qps", "allow-initial-errors"] {
                assert!(script.contains(word), "no {word} for {:?}", shell.to_possible_value());
            }
        }
    }
}
