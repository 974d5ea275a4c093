//! The test servers as commands: what they say when they are ready, and that they answer and end.

#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;

use fuseboard_testkit::Client;
use rustix::process::Signal;

use crate::home::{Home, Process, after};

/// The address behind a name in a ready line.
fn address(line: &str, what: &str) -> SocketAddr {
    after(line, what).trim_end_matches("/_ctl").parse().expect("an address")
}

#[tokio::test]
async fn httpbin_answers_in_the_shape_asked_for_and_is_broken_at_its_door() {
    let home = Home::new();
    let line = "httpbin --listen :0 --control :0 --style python --prefix /p --name a --max-body-size 10";
    let mut process = home.start(line);
    let httpbin = address(&process.line("ready  httpbin").await, "http://");
    let door = address(&process.line("ready  control").await, "http://");
    let mut client = Client::connect(httpbin).await;
    let answer = client.get("test", "/p/get?a=1").await;
    assert!(answer.text().contains("\"a\": \"1\""), "{}", answer.text());
    assert_eq!(client.get("test", "/p/bytes/11").await.status, 400);
    assert!(client.get("test", "/p/hostname").await.text().contains("\"hostname\": \"a\""));
    let mut door = Client::connect(door).await;
    door.send("POST /_ctl HTTP/1.1\r\nHost: door\r\nContent-Length: 11\r\n\r\n{\"fail\": 1}").await;
    assert_eq!(door.response().await.status, 200);
    assert_eq!(client.get("test", "/p/get").await.status, 503);
    process.signal(Signal::TERM);
    assert_eq!(process.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn the_echo_listens_on_this_machine_and_says_where() {
    let home = Home::new();
    let mut process = home.start("server -http-port 0 -tcp-port=:0 --udp-port 0 -redirect-port disabled");
    let tcp = address(&process.line("ready  tcp-echo").await, "tcp://");
    let udp = address(&process.line("ready  udp-echo").await, "udp://");
    let http = address(&process.line("ready  http-echo").await, "http://");
    assert!([tcp, udp, http].iter().all(|address| address.ip().is_loopback()));
    let answer = Client::connect(http).await.get("test", "/any?status=418").await;
    assert_eq!(answer.status, 418);
    process.signal(Signal::INT);
    assert_eq!(process.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn a_wrong_flag_of_the_echo_is_told_with_its_reason() {
    let home = Home::new();
    let said = home.fuseboard("server -grpc-port 8079 -max-echo-delay 5").await;
    assert_eq!(said.code, Some(2));
    assert_eq!(
        said.err,
        "invalid value \"8079\" for flag -grpc-port: there is no gRPC here yet; write disabled\n\
         invalid value \"5\" for flag -max-echo-delay: write a duration, for example 1.5s\n\n\
         For more information, try 'fuseboard server -h'.\n"
    );
    let fortio = home.alias("fortio");
    let said = home.said(home.command(fortio, "tcp-echo -nosuch")).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.starts_with("flag provided but not defined: -nosuch\nUsage: fortio "), "{}", said.err);
}

#[tokio::test]
async fn under_fortio_s_name_its_log_lines_say_what_listens() {
    let home = Home::new();
    let fortio = home.alias("fortio");
    let mut process = Process::spawn(&mut home.command(fortio, "redirect -redirect-port 127.0.0.1:0"));
    let line = process.told("listening").await;
    assert!(
        line.contains("\"msg\":\"Fortio 1.66.5 https redirector server listening on tcp 127.0.0.1:"),
        "{line}"
    );
    assert!(process.told("started").await.contains("All fortio 1.66.5 servers started!"));
    process.signal(Signal::TERM);
    assert_eq!(process.end().await.0.code(), Some(0));
}
