//! deploy/compose without containers: the commands of its three services, with the addresses of this machine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use std::path::Path;

use crate::home::{Home, Process, listeners};

#[tokio::test]
async fn the_services_of_the_compose_file_work_together() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/compose");
    let file = std::fs::read_to_string(folder.join("compose.yaml")).unwrap();
    assert!(file.contains(concat!("image: fuseboard:", env!("CARGO_PKG_VERSION"), "\n")), "{file}");
    let rules = folder.join("rules");
    let home = Home::new();

    let mut httpbin = start(&home, &file, "httpbin", &[("0.0.0.0:8080", "127.0.0.1:0")]);
    let line = httpbin.line("ready").await;
    let httpbin_at = line.rsplit_once("http://").unwrap().1;

    let addresses = [
        ("0.0.0.0:9000", "127.0.0.1:0 --admin 127.0.0.1:0"),
        ("httpbin:8080", httpbin_at),
        ("0.0.0.0:15090", "127.0.0.1:0"),
        ("/rules", rules.to_str().unwrap()),
    ];
    let mut proxy = start(&home, &file, "proxy", &addresses);
    let proxy_at = listeners(&proxy.line("ready").await)[0].to_string();

    let load = start(&home, &file, "load", &[("proxy:9000", &proxy_at)]);
    let (status, report, log) = load.end().await;
    assert!(status.success(), "{log}");
    for code in ["Code 200 :", "Code 503 :"] {
        assert!(report.contains(code), "{report}");
    }
    let healthy =
        home.fuseboard(&words(&file, "test").split_once(' ').unwrap().1.replace("fuseboard ", "")).await;
    assert_eq!((healthy.code, healthy.out.trim()), (Some(0), "LIVE"), "{healthy:?}");
}

/// Starts the command of a service of the file, with other addresses.
fn start(home: &Home, file: &str, service: &str, addresses: &[(&str, &str)]) -> Process {
    let (_, from) = file.split_once(&format!("\n  {service}:\n")).unwrap();
    let mut line = words(from, "command");
    for (theirs, ours) in addresses {
        assert!(line.contains(theirs), "{line} has no {theirs}");
        line = line.replace(theirs, ours);
    }
    home.start(&line)
}

/// The first list of this name, which is written as JSON.
fn words(text: &str, name: &str) -> String {
    let (_, from) = text.split_once(&format!("{name}: ")).unwrap();
    let list: Vec<String> = serde_json::from_str(from.lines().next().unwrap()).unwrap();
    list.join(" ")
}
