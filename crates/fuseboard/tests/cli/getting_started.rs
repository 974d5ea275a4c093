//! The first ten minutes: each page of docs/getting-started, and the one about load testing, is done word for word, on other ports, and prints what it says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in what it calls too")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use rustix::process::Signal;

use crate::home::{Home, Process};
use crate::page::{self, Step};

#[tokio::test]
async fn the_demo() {
    follow("demo.md", &[]).await;
}

#[tokio::test]
async fn my_service() {
    follow("my-service.md", &["8080", "9000"]).await;
}

#[tokio::test]
async fn the_task_of_istios_documentation() {
    follow("istio-task.md", &["8000", "8080"]).await;
}

#[tokio::test]
async fn load_testing() {
    follow("../load-testing.md", &["8080", "9000"]).await;
}

/// Does what a page says, in a home of its own, with free ports for these and for the usual ones of the proxy.
async fn follow(name: &str, ports: &[&'static str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/getting-started").join(name);
    let text = on_free_ports(&std::fs::read_to_string(path).unwrap(), ports);
    let steps = page::steps(&text);
    assert!(!steps.is_empty(), "{name} has no commands");
    let home = Home::new();
    std::fs::create_dir(home.path("bin")).unwrap();
    home.alias("bin/fuseboard");
    let mut running = Vec::new();
    for step in &steps {
        if step.stays {
            running.push(start(&home, step, name).await);
        } else {
            run(&home, step, name).await;
        }
    }
    for process in running {
        process.signal(Signal::TERM);
    }
}

async fn run(home: &Home, step: &Step, name: &str) {
    let said = home.said(shell(home, &format!("{{ {}\n}} 2>&1", step.command))).await;
    let actual: Vec<&str> = said.out.lines().collect();
    assert!(
        page::fits(&step.expected, &actual),
        "{name}:{}: {}\npromised:\n{}\nprinted:\n{}",
        step.line,
        step.command,
        step.expected.join("\n"),
        said.out
    );
}

/// Starts what stays, and waits for the last line that the page shows.
async fn start(home: &Home, step: &Step, name: &str) -> Process {
    let last = step.expected.last().unwrap_or_else(|| panic!("{name}:{}: when is it ready?", step.line));
    let sign = last.split("[..]").next().unwrap_or_default().trim();
    let mut process = Process::spawn(&mut shell(home, &format!("exec {} 2>&1", step.command)));
    process.line(sign).await;
    process
}

fn shell(home: &Home, script: &str) -> std::process::Command {
    let mut command = home.command("sh", "");
    let path = std::env::var("PATH").unwrap_or_default();
    command.arg("-c").arg(script).env("PATH", format!("{}:{path}", home.path("bin").display()));
    command.env("HOME", home.path("tmp")).env("NO_COLOR", "1");
    command
}

/// The page with every port of this machine that it names replaced by one that is free now. The proxy's usual four lie side by side.
fn on_free_ports(text: &str, ports: &[&'static str]) -> String {
    let usual =
        (free_ports(4)..).zip(["15000", "15001", "15002", "15003"]).map(|(free, usual)| (usual, free));
    let others = ports.iter().map(|port| (*port, free_ports(1)));
    let ports: BTreeMap<&str, u16> = usual.chain(others).collect();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let length = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(length);
        out.push_str(before);
        out.push_str(&ports.get(number).map_or_else(|| number.to_owned(), ToString::to_string));
        rest = after;
    }
    out + rest
}

/// The first of so many ports in a row that nobody listens on now.
fn free_ports(count: u16) -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let all = (1..count).all(|more| {
            port.checked_add(more).is_some_and(|next| TcpListener::bind(("127.0.0.1", next)).is_ok())
        });
        if all {
            return port;
        }
    }
}
