//! The completion script in a real bash, and manual pages in a folder.

use std::process::Command;

use crate::home::Home;

/// Loads the script, then completes the last word of a command line as bash would.
const COMPLETE: &str = r#"
source <("$1" completion bash)
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_fuseboard fuseboard "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[tokio::test]
async fn bash_completes_commands_flags_values_and_fortio_s_flags() {
    if Command::new("bash").arg("--version").output().is_err() {
        eprintln!("skipped: no bash here");
        return;
    }
    let home = Home::new();
    for (words, expected) in [
        (&["ana"][..], &["analyze"][..]),
        (&["stats", "--use"], &["--usedonly"]),
        (&["analyze", "--failure-threshold", ""], &["info", "warning", "error"]),
        (&["load", "--q"], &["--qps", "--quiet"]),
        (&["curl", "--time"], &["--timeout"]),
        (&["completion", "b"], &["bash"]),
    ] {
        let mut bash = home.command("bash", "--norc --noprofile -u -c");
        bash.args([COMPLETE, "bash", env!("CARGO_BIN_EXE_fuseboard"), "fuseboard"]).args(words);
        let said = home.said(bash).await;
        assert_eq!(
            (said.out.lines().collect::<Vec<_>>(), said.err.as_str()),
            (expected.to_vec(), ""),
            "{words:?}"
        );
    }
}

#[tokio::test]
async fn manual_pages_go_into_a_folder_or_to_stdout() {
    let home = Home::new();
    let said = home.fuseboard("man share/man1").await;
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
    let run = std::fs::read_to_string(home.path("share/man1/fuseboard-run.1")).unwrap();
    assert!(run.contains(".SH NAME\nfuseboard\\-run \\- Serve services"), "{run}");
    assert!(home.fuseboard("man").await.out.contains(&run));
    home.write("file", "");
    let said = home.fuseboard("man file/man1").await;
    assert!(said.code == Some(1) && said.err.contains("file/man1 cannot be made"), "{said:?}");
}
