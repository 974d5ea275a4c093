//! The completion script in a real bash, and manual pages in a folder.

use std::process::Command;

use crate::home::Home;

/// Loads the script, then completes the last word of a command line as bash would.
const COMPLETE: &str = r#"
source <("$1" completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"_$1" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[tokio::test]
async fn bash_completes_commands_flags_values_and_fortio_s_flags() {
    if Command::new("bash").arg("--version").output().is_err() {
        eprintln!("skipped: no bash here");
        return;
    }
    let home = Home::new();
    let folder = home.alias("istioctl").parent().unwrap().to_owned();
    home.alias("fuseboard");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    for (words, expected) in [
        (&["fuseboard", "ana"][..], &["analyze"][..]),
        (&["fuseboard", "stats", "--use"], &["--usedonly"]),
        (&["fuseboard", "analyze", "--failure-threshold", ""], &["info", "warning", "error"]),
        (&["fuseboard", "load", "--qp"], &["--qps"]),
        (&["fuseboard", "curl", "--time"], &["--timeout"]),
        (&["fuseboard", "completion", "b"], &["bash"]),
        (&["fuseboard", "pc", "cl"], &["cluster", "clusters"]),
        (&["istioctl", "pc", "endpoint", "--stat"], &["--status"]),
    ] {
        let mut bash = home.command("bash", "--norc --noprofile -u -c");
        bash.args([COMPLETE, "bash"]).args(words).env("PATH", &path);
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
