//! HTTP/2 on the port of HTTP/1.1.

use std::net::SocketAddr;

use bytes::Bytes;
use fuseboard_httpbin::Server;
use h2::Reason;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::client::{PATIENCE, get, start, start_with, until};

/// A connection of HTTP/2.
pub(crate) struct Client {
    pub(crate) send: SendRequest<Bytes>,
    /// Ends as the connection ends.
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    /// By prior knowledge.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        Self { send, connection: tokio::spawn(connection) }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, h2::Error> {
        self.ask(Request::get(format!("http://test{path}")), "").await
    }

    pub(crate) async fn ask(&self, request: http::request::Builder, body: &str) -> Result<Answer, h2::Error> {
        let talk = async {
            let mut send = self.send.clone().ready().await?;
            let request = request.version(Version::HTTP_2).body(()).unwrap();
            let (response, mut stream) = send.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
            }
            let (head, mut taken) = response.await?.into_parts();
            let mut bytes = Vec::new();
            while let Some(data) = taken.data().await {
                let data = data?;
                taken.flow_control().release_capacity(data.len())?;
                bytes.extend_from_slice(&data);
            }
            let trailers = taken.trailers().await?.unwrap_or_default();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: bytes, trailers })
        };
        tokio::time::timeout(PATIENCE, talk).await.expect("an answer")
    }
}

async fn connect(server: &Server) -> Client {
    Client::plain(server.addresses()[0]).await
}

#[tokio::test]
async fn both_versions_are_spoken_on_one_port() {
    let server = start_with(|options| options.name = Some("a".into())).await;
    let client = connect(&server).await;
    let answer = client.get("/get?a=1").await.unwrap();
    assert_eq!((answer.status, &answer.headers["x-httpbin-instance"]), (200, &"a".parse().unwrap()));
    let shown = answer.json();
    assert_eq!(
        (&shown["url"], &shown["headers"]["Host"][0]),
        (&"http://test/get?a=1".into(), &"test".into())
    );
    assert_eq!(get(&server, "/get").await.status(), 200);
    assert_eq!(server.control().counts().connections.total, 2);
}

#[tokio::test]
async fn what_a_request_asks_for_works_over_http2_too() {
    let server = start().await;
    let client = connect(&server).await;
    for (path, status) in [
        ("/status/503", 503),
        ("/delay/1ms", 200),
        ("/echo?status=429", 429),
        ("/unstable?failure_rate=1", 500),
    ] {
        assert_eq!(client.get(path).await.unwrap().status, status, "{path}");
    }
    assert_eq!(client.get("/bytes/100").await.unwrap().body.len(), 100);
    assert_eq!(client.get("/echo?size=300000").await.unwrap().body.len(), 300_000);
    let posted = client
        .ask(Request::post("http://test/post").header("content-type", "text/plain"), "hello")
        .await
        .unwrap();
    assert_eq!(posted.json()["data"], "hello");
    let trailers = Request::get("http://test/trailers?x-a=1").header("te", "trailers");
    assert_eq!(client.ask(trailers, "").await.unwrap().trailers["x-a"], "1");
    let dump = client.get("/dump/request").await.unwrap().body;
    assert!(dump.starts_with(b"GET /dump/request HTTP/2.0\r\nHost: test\r\n"), "{dump:?}");
    let cookies = Request::get("http://test/cookies").header("cookie", "a=1").header("cookie", "b=2");
    assert_eq!(
        client.ask(cookies, "").await.unwrap().json()["cookies"],
        serde_json::json!({"a": "1", "b": "2"})
    );
}

#[tokio::test]
async fn a_reset_is_of_the_stream_and_the_next_request_is_answered() {
    let server = start().await;
    let client = connect(&server).await;
    let code = async |path: &str| client.get(path).await.unwrap_err().reason();
    assert_eq!(code("/reset").await, Some(Reason::INTERNAL_ERROR));
    assert_eq!(code("/reset?code=refused_stream").await, Some(Reason::REFUSED_STREAM));
    assert_eq!(code("/reset?code=8").await, Some(Reason::CANCEL));
    assert_eq!(client.get("/reset?code=gone").await.unwrap().status, 400);
    assert_eq!(code("/crash?after=10").await, Some(Reason::INTERNAL_ERROR));
    assert_eq!(client.get("/get").await.unwrap().status, 200);
    let error = client.get("/reset?connection=true").await.unwrap_err();
    assert!(error.is_io() && client.connection.await.unwrap().is_err(), "{error}");
}

#[tokio::test]
async fn a_crash_sends_what_it_was_asked_for_and_then_resets() {
    let server = start().await;
    let client = connect(&server).await;
    let mut send = client.send.clone().ready().await.unwrap();
    let request = Request::get("http://test/crash?after=10").body(()).unwrap();
    let mut body = send.send_request(request, true).unwrap().0.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "**********");
    assert_eq!(body.data().await.unwrap().unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn a_close_lets_other_streams_end_and_takes_no_new_ones() {
    let server = start().await;
    let client = connect(&server).await;
    let slow = async { client.get("/delay/100ms").await.unwrap().status };
    let closed = async {
        until(|| server.control().counts().requests.active == 1).await;
        client.get("/echo?close=true").await.unwrap()
    };
    let (slow, closed) = tokio::join!(slow, closed);
    assert_eq!((slow, closed.status, closed.headers.get("connection")), (200, 200, None));
    // GOAWAY says that nothing went wrong, and then the connection is closed.
    let connection = client.connection;
    tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_its_client_resets_is_not_counted_any_more() {
    let server = start().await;
    let client = connect(&server).await;
    let control = server.control();
    let mut send = client.send.clone().ready().await.unwrap();
    let (response, mut stream) =
        send.send_request(Request::get("http://test/hang").body(()).unwrap(), true).unwrap();
    until(|| control.counts().requests.active == 1).await;
    stream.send_reset(Reason::CANCEL);
    drop(response);
    until(|| control.counts().requests.active == 0).await;
    assert_eq!(client.get("/get").await.unwrap().status, 200);
}

#[tokio::test]
async fn streams_and_heads_have_bounds() {
    let server = start().await;
    let client = connect(&server).await;
    assert_eq!(client.get("/get").await.unwrap().status, 200);
    assert_eq!(client.send.current_max_send_streams(), 1_000);
    // What is beyond the bound is refused on its stream, and the connection goes on.
    let long = Request::get("http://test/get").header("x-long", "a".repeat(65 << 10));
    assert!(!matches!(client.ask(long, "").await, Ok(answer) if answer.status != 431));
    assert_eq!(client.get("/get").await.unwrap().status, 200);
}

#[tokio::test]
async fn the_knobs_work_over_http2_and_a_stop_lets_answers_end() {
    let server = start().await;
    let client = connect(&server).await;
    server.control().fail_all(true);
    assert_eq!(client.get("/get").await.unwrap().status, 503);
    server.control().fail_all(false);
    let control = server.control();
    let slow = async { client.get("/delay/50ms").await.unwrap().status };
    let stop = async {
        until(|| control.counts().requests.active == 1).await;
        server.stop().await;
    };
    assert_eq!(tokio::join!(slow, stop).0, 200);
}
