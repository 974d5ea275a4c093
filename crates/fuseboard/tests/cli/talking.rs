//! What goes to which stream, in which colour, and what happens when nobody reads it.

use std::process::Stdio;

use fuseboard_testkit::{Script, Upstream};

use crate::home::{Home, rule};

const ESCAPE: char = '\u{1b}';

#[tokio::test]
async fn colour_is_for_terminals_and_for_those_who_ask() {
    let home = Home::new();
    home.write("rules/rule.yaml", &rule("many", "1"));
    for line in ["analyze -f rules", "--help", "analyze --nosuch", "nosuch"] {
        let plain = home.fuseboard(line).await;
        assert!(!(plain.out + &plain.err).contains(ESCAPE), "{line}");
        let forced = home.fuseboard(&format!("--color always {line}")).await;
        assert!((forced.out + &forced.err).contains(ESCAPE), "--color always {line}");
        let mut command = home.command(env!("CARGO_BIN_EXE_fuseboard"), &format!("--color=never {line}"));
        command.env("CLICOLOR_FORCE", "1");
        let never = home.said(command).await;
        assert!(!(never.out + &never.err).contains(ESCAPE), "--color=never {line}");
    }
    let mut command = home.command(env!("CARGO_BIN_EXE_fuseboard"), "analyze -f rules");
    command.env("CLICOLOR_FORCE", "1");
    assert!(home.said(command).await.out.contains(ESCAPE));
}

#[tokio::test]
async fn a_terminal_shows_colour_unless_it_cannot_or_nobody_wants_it() {
    let home = Home::new();
    let command = format!("{} help run", env!("CARGO_BIN_EXE_fuseboard"));
    for (variables, is_coloured) in [
        (&[("TERM", "xterm")][..], true),
        (&[("TERM", "dumb")], false),
        (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
    ] {
        // A terminal of its own for the command.
        let mut script = home.command("script", "-q -e -c");
        script.args([&command, "/dev/null"]).env_remove("CI").env_remove("NO_COLOR");
        script.envs(variables.iter().copied());
        if std::process::Command::new("script").arg("--version").output().is_err() {
            eprintln!("skipped: no script here");
            return;
        }
        let said = home.said(script).await;
        assert_eq!((said.code, said.out.contains(ESCAPE)), (Some(0), is_coloured), "{variables:?}: {said:?}");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is() {
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_fuseboard");
    for line in ["version", "analyze -o json rules", "load -h"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = home.command(program, line);
        command.stdout(writer);
        let gone = home.said(command).await;
        assert_eq!((gone.code, gone.err.contains("panic")), (Some(0), false), "{line}: {gone:?}");
        if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
            let mut command = home.command(program, line);
            command.stdout(Stdio::from(full));
            let full = home.said(command).await;
            assert_eq!(full.code, Some(1), "{line}");
            assert!(full.err.contains("stdout cannot be written"), "{full:?}");
        }
    }
}

#[tokio::test]
async fn results_are_on_stdout_and_everything_else_is_not() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hello")).await;
    let url = format!("http://{}/", upstream.address());

    let curl = home.fuseboard(&format!("curl {url}")).await;
    assert_eq!((curl.code, curl.out.as_str()), (Some(0), "hello"));
    assert!(curl.err.starts_with("HTTP/1.1 200 "), "{curl:?}");

    let load = home.fuseboard(&format!("load -c 1 -qps 0 -n 2 {url}")).await;
    assert!(
        load.out.starts_with("Ended after ") && load.out.contains("\nCode 200 : 2 (100.0 %)\n"),
        "{load:?}"
    );
    assert!(load.err.starts_with("Fuseboard ") && !load.err.contains("Code 200"), "{load:?}");

    let json = home.fuseboard(&format!("load -c 1 -qps 0 -n 2 -json - {url}")).await;
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(document["RetCodes"]["200"], 2);
    assert!(json.err.contains("\nCode 200 : 2 (100.0 %)\n"), "{json:?}");
}

#[tokio::test]
async fn nobody_at_the_other_end_is_exit_code_69_and_says_what_to_start() {
    let home = Home::new();
    for line in ["why", "stats", "admin request GET ready"] {
        let said = home.fuseboard(&format!("{line} --admin 127.0.0.1:1")).await;
        assert_eq!((said.code, said.out.as_str()), (Some(69), ""), "{line}");
        assert!(
            said.err.contains("no admin server at 127.0.0.1:1") && said.err.contains("next: start one"),
            "{said:?}"
        );
    }
}
