//! The demonstration: both walks hold, fit a terminal, and leave nothing behind; what is to be pasted works.

use rustix::process::Signal;

use crate::home::{Home, after};

/// Characters of a line in a terminal of the usual width.
const WIDTH: usize = 80;

#[tokio::test]
async fn both_shows_go_as_they_must_and_fit_a_terminal() {
    let home = Home::new();
    for show in ["pool", "outlier"] {
        let said = home.fuseboard(&format!("demo {show} --once --expect --no-ui --seed 7")).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        for line in said.out.lines() {
            assert!(line.trim_end() == line, "blanks at the end of {line:?}");
            // The temporary folder is as long as it is.
            assert!(line.chars().count() <= WIDTH || line.contains("httpbin.yaml"), "too wide: {line}");
        }
        assert!(said.out.contains("  ✔ ") && !said.out.contains("✘"), "{}", said.out);
    }
    let left: Vec<_> = std::fs::read_dir(home.path("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_lines_to_paste_work_in_another_terminal() {
    let home = Home::new();
    let mut demo = home.start("demo --no-ui");
    let told = demo.line("upstream_rq_pending_overflow says").await;
    let first: u32 = after(&told, "says ").trim_end_matches(',').parse().unwrap();
    demo.line("Try it in a second terminal").await;
    let mut lines = Vec::new();
    for part in ["load -c 3", " why", " stats", "curl "] {
        lines.push(demo.line(part).await.trim().to_owned());
    }
    let shell = |line: &str| {
        let mut command = home.command("sh", "-c");
        command.arg(line);
        command
    };
    let load = home.said(shell(&lines[0])).await;
    let refused: u32 = after(&load.out, "Code 503 : ").parse().unwrap();
    let why = home.said(shell(&lines[1])).await;
    assert!(why.out.contains(&format!("{} refused in the last 1m\n", first + refused)), "{why:?}");
    let stats = home.said(shell(&lines[2])).await;
    assert_eq!(stats.out.lines().count(), 7, "{stats:?}");
    assert!(stats.out.contains(&format!("upstream_rq_pending_overflow: {}\n", first + refused)), "{stats:?}");
    // Not every machine that tests has curl.
    let curl = home.said(shell(&lines[3])).await;
    assert!(curl.out.starts_with("HTTP/1.1 200 OK") || curl.code == Some(127), "{curl:?}");

    demo.signal(Signal::INT);
    assert_eq!(demo.end().await.0.code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(home.path("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_interrupted_walk_cleans_up() {
    let home = Home::new();
    for signal in [Signal::INT, Signal::TERM] {
        let mut demo = home.start("demo outlier --no-ui");
        demo.line("EJECT").await;
        demo.signal(signal);
        let (status, _, err) = demo.end().await;
        assert_eq!((status.code(), err.as_str()), (Some(130), "error: interrupted before the walk was done"));
        let left: Vec<_> = std::fs::read_dir(home.path("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn a_walk_that_goes_another_way_ends_with_code_99_and_the_difference() {
    let home = Home::new();
    let mut demo = home.start("demo outlier --once --expect --no-ui");
    let shown = demo.line("httpbin.yaml").await;
    let path = shown.split_whitespace().last().unwrap().to_owned();
    demo.line("EJECT").await;
    // While the replica is out, somebody changes how many errors the second ejection takes.
    let rule = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, rule.replace("consecutive5xxErrors: 3", "consecutive5xxErrors: 5")).unwrap();
    demo.told("rules 2 in force").await;
    let (status, out, _) = demo.end().await;
    assert_eq!(status.code(), Some(99));
    let wrong: Vec<&str> = out.lines().filter(|line| line.contains('✘')).collect();
    let difference = "  ✘ ejection 2: errors that callers saw before it   5, expected 3";
    assert!(wrong.contains(&difference), "{wrong:#?}");
}

#[tokio::test]
async fn an_edit_of_the_shown_rule_applies() {
    let home = Home::new();
    let mut demo = home.start("demo --no-ui");
    let shown = demo.line("httpbin.yaml").await;
    let path = shown.split_whitespace().last().unwrap().to_owned();
    demo.line("Ctrl-C stops").await;
    let rule = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, rule.replace("http1MaxPendingRequests: 1", "http1MaxPendingRequests: 2")).unwrap();
    demo.told("rules 2 in force").await;
    let stats = home.fuseboard("stats --filter remaining_pending").await;
    assert!(stats.out.contains("default.remaining_pending: 2\n"), "{stats:?}");
}
