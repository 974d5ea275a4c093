//! The client: bounded in time, clear about what went wrong.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use fuseboard_admin::{AdminAddress, AdminClient, ClientError};

/// Answers one connection with `answer`, and gives what was asked.
fn one_answer(answer: &'static [u8]) -> (AdminAddress, thread::JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = AdminAddress::Tcp(listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        stream.write_all(answer).unwrap();
        String::from_utf8(asked).unwrap()
    });
    (address, server)
}

#[test]
fn a_target_without_slash_is_completed_and_the_host_is_the_address() {
    let (address, server) = one_answer(b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n");
    let answer = AdminClient::new(address.clone()).get("stats?usedonly").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (404, "no\n"));
    let asked = server.join().unwrap();
    assert!(asked.starts_with("GET /stats?usedonly HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nhost: {address}\r\n")), "{asked}");
}

#[test]
fn nobody_there_says_where_and_asks_whether_a_proxy_runs() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let problem = AdminClient::new(AdminAddress::Tcp(closed)).get("/stats").unwrap_err();
    assert!(matches!(problem, ClientError::Unreachable { .. }));
    let told = problem.to_string();
    assert!(told.starts_with(&format!("no admin server at {closed}; is a proxy running?")), "{told}");
    let missing = AdminClient::new("unix:/nonexistent.sock".parse().unwrap()).get("/stats").unwrap_err();
    assert!(missing.to_string().starts_with("no admin server at unix:/nonexistent.sock"), "{missing}");
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = AdminAddress::Tcp(listener.local_addr().unwrap());
    let started = Instant::now();
    let client = AdminClient::new(address).with_timeout(Duration::from_millis(50));
    assert!(matches!(client.get("/stats"), Err(ClientError::Broken { .. })));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_no_http_is_told() {
    let (address, server) = one_answer(b"SSH-2.0-OpenSSH_9.9\r\n");
    let problem = AdminClient::new(address).get("/").unwrap_err();
    assert!(matches!(problem, ClientError::NotHttp { .. }), "{problem}");
    server.join().unwrap();
}
