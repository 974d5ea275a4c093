//! The demonstration: its walks hold, fit a terminal, and leave nothing behind; what is to be pasted works.

use fuseboard_testkit::Client;
use rustix::process::Signal;

use crate::home::{Home, after};

/// Characters of a line in a terminal of the usual width.
const WIDTH: usize = 80;

#[tokio::test]
async fn all_shows_go_as_they_must_and_fit_a_terminal() {
    let home = Home::new();
    for show in ["pool", "outlier", "breaker"] {
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
async fn the_breakers_course_is_told_in_order_and_is_the_same_for_the_same_seed() {
    let home = Home::new();
    let course = async || {
        let said = home.fuseboard("demo breaker --once --no-ui --seed 7").await;
        let moments = said.out.lines().filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned));
        moments
            .filter(|word| word.chars().all(|c| c.is_ascii_uppercase()) && word.len() > 3)
            .collect::<Vec<_>>()
    };
    let (first, second) = tokio::join!(course(), course());
    let told = [
        "HANG", "OPEN", "CACHE", "STANDIN", "PROBE", "OPEN", "MEND", "PROBE", "RAMP", "RAMP", "RAMP", "RAMP",
        "CLOSED",
    ];
    assert_eq!((first, second), (told.map(str::to_owned).to_vec(), told.map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn a_service_that_hangs_by_hand_opens_the_breaker_of_the_demo_that_stays() {
    let home = Home::new();
    let mut demo = home.start("demo breaker --no-ui");
    let proxy = after(&demo.line("✔ proxy").await, "proxy    ");
    let door = after(&demo.line("/_ctl").await, "http://");
    demo.line("Ctrl-C stops").await;
    let list = home.fuseboard("breaker list").await;
    assert!(list.out.contains("CLOSED") && !list.out.contains("OPEN "), "{list:?}");
    let mut door = Client::connect(door.trim_end_matches("/_ctl").parse().unwrap()).await;
    door.send("POST /_ctl HTTP/1.1\r\nHost: door\r\nContent-Length: 14\r\n\r\n{\"hang\": true}").await;
    assert_eq!(door.response().await.status, 200);
    let load = format!("load -quiet -c 30 -qps 60 -t 20s -H Host:httpbin http://{proxy}/get");
    let load = home.fuseboard_later(&load);
    home.until("breaker history httpbin", "calls were slow").await;
    load.abort();
    demo.signal(Signal::INT);
    assert_eq!(demo.end().await.0.code(), Some(0));
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
