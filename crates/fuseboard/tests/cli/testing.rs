//! The test servers as commands: what they say when they are ready, and that they answer and end.

#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;

use fuseboard_testkit::Client;
use fuseboard_testkit::tls::{self, Authority, Tunnel};
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
    let mut process =
        home.start("server -http-port 0 -tcp-port=:0 --udp-port 0 -grpc-port 0 -redirect-port disabled");
    let tcp = address(&process.line("ready  tcp-echo").await, "tcp://");
    let udp = address(&process.line("ready  udp-echo").await, "udp://");
    let grpc = address(&process.line("ready  grpc").await, "http://");
    let http = address(&process.line("ready  http-echo").await, "http://");
    assert!([tcp, udp, grpc, http].iter().all(|address| address.ip().is_loopback()));
    let answer = Client::connect(http).await.get("test", "/any?status=418").await;
    assert_eq!(answer.status, 418);
    process.signal(Signal::INT);
    assert_eq!(process.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn the_test_servers_speak_tls_with_what_files_hold() {
    let home = Home::new();
    let authority = Authority::new("authority");
    let pair = authority.issue(&["localhost"]);
    home.write("pair.pem", &format!("{}{}", pair.certificate, pair.key));
    for (command, ready) in [
        ("httpbin --listen :0 --tls-cert pair.pem --tls-key pair.pem", "ready  httpbin"),
        (
            "server -http-port 0 -tcp-port disabled -udp-port disabled -redirect-port disabled \
          -grpc-port disabled -cert pair.pem -key pair.pem",
            "ready  http-echo",
        ),
    ] {
        let mut process = home.start(command);
        let server = address(&process.line(ready).await, "https://");
        let tunnel = Tunnel::start(tls::client(&authority), "localhost", server).await;
        let answer = Client::connect(tunnel.address()).await.get("test", "/echo?status=418").await;
        assert_eq!(answer.status, 418, "{:?}", tunnel.failures());
        process.signal(Signal::TERM);
        assert_eq!(process.end().await.0.code(), Some(0));
    }
    let said = home.fuseboard("httpbin --tls-cert pair.pem --tls-key none.pem").await;
    assert_eq!(said.code, Some(65));
    assert!(said.err.contains("cannot read none.pem: "), "{}", said.err);
    let said = home.fuseboard("server -cert none.pem -key pair.pem").await;
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("cannot read none.pem: "), "{}", said.err);
}

#[tokio::test]
async fn a_wrong_flag_of_the_echo_is_told_with_its_reason() {
    let home = Home::new();
    let said = home.fuseboard("server -ui-path / -max-echo-delay 5 -cert a.pem").await;
    assert_eq!(said.code, Some(2));
    assert_eq!(
        said.err,
        "invalid value \"/\" for flag -ui-path: there is no UI here; leave the flag out\n\
         invalid value \"5\" for flag -max-echo-delay: write a duration, for example 1.5s\n\
         -cert and -key need each other; both may name one file\n\n\
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
