//! What every endpoint does: methods, limits, counting, stopping; the endpoints that breakers are tested with.

use std::time::Duration;

use fuseboard_httpbin::{Options, Peak, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{ANY_PORT, ask, get, start, until};

#[tokio::test]
async fn get_shows_the_request() {
    let server = start().await;
    let answer = get(&server, "/get?a=1&b=2&a=3").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.text(),
        r#"{
  "args": {
    "a": [
      "1",
      "3"
    ],
    "b": [
      "2"
    ]
  },
  "headers": {
    "Connection": [
      "close"
    ],
    "Host": [
      "test"
    ]
  },
  "method": "GET",
  "origin": "127.0.0.1",
  "url": "http://test/get?a=1&b=2&a=3"
}
"#
    );
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
}

#[tokio::test]
async fn post_shows_form_json_and_data() {
    let server = start().await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    let answer = ask(&server, "POST /post", &[form], "a=1&b=2").await;
    let tail = answer.text().split_once("\"data\"").unwrap().1.to_owned();
    assert_eq!(
        tail,
        r#": "a=1&b=2",
  "files": {},
  "form": {
    "a": [
      "1"
    ],
    "b": [
      "2"
    ]
  },
  "json": null
}
"#
    );
    let json = "Content-Type: application/json";
    let answer = ask(&server, "PUT /put", &[json], "{\"z\":[1],\"a\":2}").await;
    let tail = answer.text().split_once("\"json\"").unwrap().1.to_owned();
    assert_eq!(tail, ": {\n    \"a\": 2,\n    \"z\": [\n      1\n    ]\n  }\n}\n");
    let broken = ask(&server, "POST /post", &[json], "{bad").await;
    assert_eq!(broken.status(), 400);
    assert!(broken.text().contains("\"detail\": \"error parsing request body: "), "{}", broken.text());
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let mut options = Options::on(ANY_PORT);
    options.max_body_bytes = 10;
    let server = serve(options).await.unwrap();
    assert_eq!(ask(&server, "POST /post", &[], "0123456789").await.status(), 200);
    let refused = ask(&server, "POST /post", &[], "0123456789a").await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("error parsing request body: http: request body too large"));
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path_are_told_as_go_tells_them() {
    let server = start().await;
    let answer = ask(&server, "POST /get", &[], "").await;
    assert_eq!((answer.status(), answer.text()), (405, "Method Not Allowed\n"));
    assert_eq!(answer.header("allow").map(|allow| allow.replace(", ", ",")), Some("GET,HEAD".to_owned()));
    let answer = get(&server, "/nope").await;
    assert_eq!((answer.status(), answer.text()), (404, "404 page not found\n"));
    assert_eq!(get(&server, "/head").await.status(), 405);
    assert_eq!(ask(&server, "HEAD /head", &[], "").await.status(), 200);
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let server = start().await;
    let answer = ask(&server, "HEAD /get", &[], "").await;
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
}

#[tokio::test]
async fn options_on_any_path_lets_every_page_in() {
    let server = start().await;
    let answer =
        ask(&server, "OPTIONS /whatever", &["Origin: http://o", "Access-Control-Request-Headers: X-A"], "")
            .await;
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://o"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("X-A"));
}

#[tokio::test]
async fn status_answers_with_the_code_asked_for() {
    let server = start().await;
    for code in [200, 204, 302, 404, 418, 503, 599] {
        assert_eq!(get(&server, &format!("/status/{code}")).await.status(), code);
    }
    assert_eq!(get(&server, "/status/302").await.header("location"), Some("/redirect/1"));
    assert_eq!(get(&server, "/status/418").await.text(), "I'm a teapot!");
    assert_eq!(ask(&server, "POST /status/503", &[], "").await.status(), 503);
}

#[tokio::test]
async fn bad_parameters_get_an_error_document() {
    let server = start().await;
    for (path, detail) in [
        ("/status/99", "invalid status code: 99 not in range [100, 599]"),
        ("/status/600", "invalid status code: 600 not in range [100, 599]"),
        ("/status/200:0.5,x", "invalid choice value: \\\"x\\\""),
        (
            "/status/abc",
            "invalid status code: \\\"abc\\\": strconv.Atoi: parsing \\\"abc\\\": invalid syntax",
        ),
        ("/delay/11", "invalid duration: duration 11s longer than 10s"),
        ("/delay/-1", "invalid duration: duration -1s shorter than 0s"),
        ("/delay/x", "invalid duration: strconv.ParseFloat: parsing \\\"x\\\": invalid syntax"),
        ("/bytes/x", "invalid byte count: strconv.Atoi: parsing \\\"x\\\": invalid syntax"),
        ("/bytes/-1", "invalid byte count: -1 must be greater than 0"),
        ("/unstable?seed=x", "invalid seed: strconv.ParseInt: parsing \\\"x\\\": invalid syntax"),
        ("/drip?numbytes=0", "invalid numbytes: 0 not in range [1, 1048576]"),
        ("/drip?code=99", "invalid status code: 99 not in range [100, 599]"),
    ] {
        let answer = get(&server, path).await;
        let expected = format!(
            "{{\n  \"status_code\": 400,\n  \"error\": \"Bad Request\",\n  \"detail\": \"{detail}\"\n}}\n"
        );
        assert_eq!((answer.status(), answer.text()), (400, expected.as_str()), "{path}");
    }
}

#[tokio::test]
async fn delay_waits_and_shows_the_request() {
    let server = start().await;
    let started = std::time::Instant::now();
    let answer = get(&server, "/delay/30ms").await;
    assert!(started.elapsed() >= Duration::from_millis(30));
    assert_eq!(answer.header("server-timing"), Some("initial_delay;dur=30.00;desc=\"initial delay\""));
    assert!(answer.text().contains("\"url\": \"http://test/delay/30ms\""));
    assert!(answer.text().contains("\"data\": \"\""));
}

#[tokio::test]
async fn drip_sends_its_bytes_over_its_duration() {
    let server = start().await;
    let started = std::time::Instant::now();
    let answer = get(&server, "/drip?numbytes=3&duration=40ms&delay=10ms&code=503").await;
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!((answer.status(), answer.text()), (503, "***"));
    assert_eq!(answer.header("content-length"), Some("3"));
    assert_eq!(
        answer.header("server-timing"),
        Some(
            "total_duration;dur=50.00;desc=\"total request duration\", \
             initial_delay;dur=10.00;desc=\"initial delay\", \
             write_duration;dur=40.00;desc=\"duration of writes after initial delay\", \
             pause_per_write;dur=20.00;desc=\"computed pause between writes\""
        )
    );
}

#[tokio::test]
async fn seeded_answers_repeat() {
    let server = start().await;
    let (first, again) = (get(&server, "/bytes/64?seed=1").await, get(&server, "/bytes/64?seed=1").await);
    assert_eq!(first.body.len(), 64);
    assert_eq!(first.body, again.body);
    assert_ne!(first.body, get(&server, "/bytes/64?seed=2").await.body);
    let status = get(&server, "/unstable?seed=9").await.status();
    assert_eq!(status, get(&server, "/unstable?seed=9").await.status());
    assert_eq!(get(&server, "/unstable?failure_rate=1").await.status(), 500);
    assert_eq!(get(&server, "/unstable?failure_rate=0").await.status(), 200);
}

#[tokio::test]
async fn echo_follows_fortio_s_grammar() {
    let server = start().await;
    let answer =
        ask(&server, "POST /echo?status=418&header=X-A:b&header=X-B:c", &["Content-Type: a/b"], "hello")
            .await;
    assert_eq!((answer.status(), answer.text()), (418, "hello"));
    assert_eq!((answer.header("x-a"), answer.header("x-b")), (Some("b"), Some("c")));
    assert_eq!(answer.header("content-type"), Some("a/b"));
    assert_eq!(get(&server, "/echo?size=7").await.body.len(), 7);
    assert_eq!(get(&server, "/echo?status=503:100").await.status(), 503);
    assert_eq!(get(&server, "/echo?status=503:0").await.status(), 200);
    for bad in ["status=abc", "status=503:150", "status=503:60,429:60", "delay=x", "close=x", "header=x"] {
        assert_eq!(get(&server, &format!("/echo?{bad}")).await.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn a_named_instance_says_who_it_is() {
    let server = serve(Options::on(ANY_PORT).named("replica-1")).await.unwrap();
    let answer = get(&server, "/hostname").await;
    assert_eq!(answer.text(), "{\n  \"hostname\": \"replica-1\"\n}\n");
    assert_eq!(answer.header("x-httpbin-instance"), Some("replica-1"));
    let nameless = start().await;
    assert_eq!(get(&nameless, "/get").await.header("x-httpbin-instance"), None);
    let broken = serve(Options::on(ANY_PORT).named("a\nb")).await.unwrap_err();
    assert_eq!(broken.to_string(), "instance name \"a\\nb\" cannot stand in a header");
}

#[tokio::test]
async fn control_breaks_and_mends_one_instance_only() {
    let (one, other) = (start().await, start().await);
    one.control().fail_all(true);
    assert_eq!(get(&one, "/get").await.status(), 503);
    assert_eq!(get(&other, "/get").await.status(), 200);
    one.control().fail_all(false);
    one.control().set_delay(Duration::from_millis(20));
    let started = std::time::Instant::now();
    assert_eq!(get(&one, "/get").await.status(), 200);
    assert!(started.elapsed() >= Duration::from_millis(20));
    assert_eq!(one.control().counts().requests, Peak { active: 0, peak: 1, total: 2 });
}

#[tokio::test]
async fn counts_tell_how_many_were_there_at_once() {
    let server = start().await;
    let drip = "/drip?numbytes=2&duration=200ms&delay=0";
    tokio::join!(get(&server, drip), get(&server, drip), get(&server, drip));
    let counts = server.control().counts();
    assert_eq!(counts.requests, Peak { active: 0, peak: 3, total: 3 });
    assert_eq!((counts.connections.peak, counts.connections.total), (3, 3));
}

#[tokio::test]
async fn a_client_that_goes_away_is_no_longer_counted() {
    let server = start().await;
    let control = server.control();
    let mut socket = TcpStream::connect(server.addresses()[0]).await.unwrap();
    socket.write_all(b"GET /delay/10 HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    until(|| control.counts().requests.active == 1).await;
    drop(socket);
    until(|| control.counts().requests.active == 0 && control.counts().connections.active == 0).await;
}

#[tokio::test]
async fn stop_lets_the_answer_under_way_finish() {
    let server = start().await;
    let (address, control) = (server.addresses()[0], server.control());
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /delay/100ms HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    until(|| control.counts().requests.active == 1).await;
    let mut answer = Vec::new();
    let ((), read) = tokio::join!(server.stop(), busy.read_to_end(&mut answer));
    assert!(read.is_ok() && answer.starts_with(b"HTTP/1.1 200 OK"));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_an_error_with_its_address() {
    let first = start().await;
    let taken = first.addresses()[0];
    let error = serve(Options::on(taken)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {taken}"));
}
