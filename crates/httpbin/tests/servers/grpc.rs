//! Calls of gRPC, over what a client of HTTP/2 sees.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use fuseboard_httpbin::{Fortio, FortioOptions, Server, serve_fortio};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use prost::Message;

use crate::client::{ANY_PORT, PATIENCE, ask_at, start, start_with, until};
use crate::http2::Client;

#[derive(Clone, PartialEq, Message)]
struct Note {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(bytes = "vec", tag = "2")]
    payload: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Ping {
    #[prost(int64, tag = "1")]
    seq: i64,
    #[prost(int64, tag = "2")]
    ts: i64,
    #[prost(string, tag = "3")]
    payload: String,
    #[prost(int64, tag = "4")]
    delay_nanos: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

fn note(text: &str) -> Note {
    Note { number: 0, payload: text.into() }
}

fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, &message].concat().into()
}

/// How a call ended.
#[derive(Debug)]
struct Ended<M> {
    messages: Vec<M>,
    /// Whether the status stood in the head.
    in_head: bool,
    code: Option<u16>,
    message: String,
    headers: HeaderMap,
    trailers: HeaderMap,
}

/// A call under way.
struct Calling {
    send: SendStream<Bytes>,
    response: h2::client::ResponseFuture,
}

async fn call(client: &Client, path: &str, metadata: &[(&str, &str)]) -> Calling {
    let mut request = Request::post(format!("http://test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in metadata {
        request = request.header(*name, *value);
    }
    let mut sender = client.send.clone().ready().await.unwrap();
    let (response, send) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    Calling { send, response }
}

/// The next message of an answer.
async fn next<M: Message + Default>(
    body: &mut RecvStream,
    buffer: &mut Vec<u8>,
) -> Result<Option<M>, h2::Error> {
    loop {
        if let Some((head, rest)) = buffer.split_first_chunk::<5>() {
            let length = (&head[1..]).get_u32() as usize;
            if rest.len() >= length {
                let message = M::decode(&rest[..length]).unwrap();
                buffer.drain(..5 + length);
                return Ok(Some(message));
            }
        }
        let Some(data) = tokio::time::timeout(PATIENCE, body.data()).await.unwrap() else { return Ok(None) };
        let data = data?;
        body.flow_control().release_capacity(data.len()).unwrap();
        buffer.extend_from_slice(&data);
    }
}

impl Calling {
    fn send(&mut self, message: &impl Message, is_last: bool) {
        self.send.send_data(framed(message), is_last).unwrap();
    }

    async fn end<M: Message + Default>(self) -> Result<Ended<M>, h2::Error> {
        let (head, mut body) =
            tokio::time::timeout(PATIENCE, self.response).await.expect("an answer")?.into_parts();
        let (mut messages, mut buffer) = (Vec::new(), Vec::new());
        while let Some(message) = next(&mut body, &mut buffer).await? {
            messages.push(message);
        }
        assert!(buffer.is_empty());
        let trailers = body.trailers().await?.unwrap_or_default();
        let in_head = head.headers.contains_key("grpc-status");
        let told = if in_head { &head.headers } else { &trailers };
        let text = |name: &str| told.get(name).map(|value| value.to_str().unwrap().to_owned());
        Ok(Ended {
            messages,
            in_head,
            code: text("grpc-status").map(|code| code.parse().unwrap()),
            message: text("grpc-message").unwrap_or_default(),
            headers: head.headers,
            trailers,
        })
    }
}

async fn unary<M: Message + Default>(
    client: &Client,
    path: &str,
    metadata: &[(&str, &str)],
    message: &impl Message,
) -> Result<Ended<M>, h2::Error> {
    let mut calling = call(client, path, metadata).await;
    calling.send(message, true);
    calling.end().await
}

async fn fortio() -> (Fortio, SocketAddr) {
    let fortio =
        serve_fortio(FortioOptions { grpc: Some(ANY_PORT), ..FortioOptions::default() }).await.unwrap();
    let address = fortio.listening()[0].address;
    (fortio, address)
}

async fn connect(server: &Server) -> Client {
    Client::plain(server.addresses()[0]).await
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const UNARY: &str = "/fuseboard.test.v1.Echo/Unary";
const SERVER: &str = "/fuseboard.test.v1.Echo/ServerStream";
const CLIENT: &str = "/fuseboard.test.v1.Echo/ClientStream";
const BIDI: &str = "/fuseboard.test.v1.Echo/BidiStream";

#[tokio::test]
async fn fortio_s_port_pings_and_is_healthy() {
    let (fortio, address) = fortio().await;
    assert_eq!(fortio.listening()[0].name, "grpc 'ping'");
    let client = Client::plain(address).await;
    let ping = Ping { seq: 7, ts: 1, payload: "abc".into(), delay_nanos: 5_000_000 };
    let started = std::time::Instant::now();
    let ended = unary::<Ping>(&client, "/fgrpc.PingServer/Ping", &[], &ping).await.unwrap();
    assert!(started.elapsed().as_millis() >= 5);
    assert_eq!(
        (ended.code, ended.in_head, &ended.headers["content-type"]),
        (Some(0), false, &"application/grpc".parse().unwrap())
    );
    let back = &ended.messages[0];
    assert!(back.ts > 1_000_000_000_000_000_000, "{back:?}");
    assert_eq!(*back, Ping { ts: back.ts, ..ping });

    for service in ["", "ping", "fgrpc.PingServer", "fuseboard.test.v1.Echo"] {
        let ended = unary::<Health>(&client, CHECK, &[], &Service { service: service.into() }).await.unwrap();
        assert_eq!((ended.messages[0].status, ended.code), (1, Some(0)), "{service}");
    }
    let ended = unary::<Health>(&client, CHECK, &[], &Service { service: "x".into() }).await.unwrap();
    assert_eq!((ended.code, ended.message.as_str(), ended.in_head), (Some(5), "unknown service", true));
}

#[tokio::test]
async fn a_watch_tells_every_change_and_the_end() {
    let server = start_with(|options| options.control = Some(ANY_PORT)).await;
    let client = connect(&server).await;
    let mut watching = call(&client, "/grpc.health.v1.Health/Watch", &[]).await;
    watching.send(&Service::default(), true);
    let mut body = watching.response.await.unwrap().into_body();
    let mut buffer = Vec::new();
    let mut status =
        async || next::<Health>(&mut body, &mut buffer).await.unwrap().map(|health| health.status);
    assert_eq!(status().await, Some(1));
    let door = server.control_address().unwrap();
    assert_eq!(ask_at(door, "POST /_ctl", &[], "{\"serving\": false}").await.json()["serving"], false);
    assert_eq!(status().await, Some(2));
    let ended = unary::<Health>(&client, CHECK, &[], &Service::default()).await.unwrap();
    assert_eq!(ended.messages[0].status, 2);
    server.control().set_serving(true);
    assert_eq!(status().await, Some(1));
    let stopping = tokio::spawn(server.stop());
    assert_eq!((status().await, status().await), (Some(2), None));
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "14");
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_watch_of_what_is_not_known_says_so_and_waits() {
    let (_fortio, address) = fortio().await;
    let client = Client::plain(address).await;
    let mut watching = call(&client, "/grpc.health.v1.Health/Watch", &[]).await;
    watching.send(&Service { service: "x".into() }, true);
    let mut body = watching.response.await.unwrap().into_body();
    assert_eq!(next::<Health>(&mut body, &mut Vec::new()).await.unwrap().unwrap().status, 3);
}

#[tokio::test]
async fn a_method_for_each_status_ends_with_it() {
    let (_fortio, address) = fortio().await;
    let client = Client::plain(address).await;
    let names = [
        "Ok",
        "Cancelled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    for (code, name) in (0..).zip(names) {
        let path = format!("/fuseboard.test.v1.Status/{name}");
        let ended = unary::<Note>(&client, &path, &[], &note("x")).await.unwrap();
        assert_eq!(
            (ended.code, ended.in_head, ended.messages.len()),
            (Some(code), code != 0, usize::from(code == 0))
        );
    }
    for path in [
        "/fuseboard.test.v1.Status/unavailable",
        "/fuseboard.test.v1.Status/14",
        "/fgrpc.PingServer/Pong",
        "/x/y",
        "/x",
    ] {
        assert_eq!(unary::<Note>(&client, path, &[], &note("")).await.unwrap().code, Some(12), "{path}");
    }
}

#[tokio::test]
async fn all_four_kinds_of_streaming_echo() {
    let server = start().await;
    let client = connect(&server).await;
    let ended = unary::<Note>(&client, UNARY, &[], &note("one")).await.unwrap();
    assert_eq!((ended.messages, ended.code), (vec![Note { number: 1, payload: "one".into() }], Some(0)));

    let wish = [("fuseboard-wish", "messages=3&size=4&trailer=x-t:1&header=x-h:2")];
    let ended = unary::<Note>(&client, SERVER, &wish, &note("")).await.unwrap();
    let seen: Vec<_> = ended.messages.iter().map(|note| (note.number, note.payload.len())).collect();
    assert_eq!(seen, [(1, 4), (2, 4), (3, 4)]);
    assert_eq!(
        (&ended.headers["x-h"], &ended.trailers["x-t"]),
        (&"2".parse().unwrap(), &"1".parse().unwrap())
    );

    let mut calling = call(&client, CLIENT, &[]).await;
    for (text, is_last) in [("a", false), ("b", false), ("c", true)] {
        calling.send(&note(text), is_last);
    }
    let ended = calling.end::<Note>().await.unwrap();
    assert_eq!(ended.messages, [Note { number: 3, payload: "c".into() }]);

    let Calling { mut send, response } = call(&client, BIDI, &[]).await;
    send.send_data(framed(&note("a")), false).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut buffer = Vec::new();
    assert_eq!(next::<Note>(&mut body, &mut buffer).await.unwrap().unwrap().number, 1);
    send.send_data(framed(&note("b")), false).unwrap();
    assert_eq!(
        next::<Note>(&mut body, &mut buffer).await.unwrap().unwrap(),
        Note { number: 2, payload: "b".into() }
    );
    send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(next::<Note>(&mut body, &mut buffer).await.unwrap(), None);
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn streams_fail_where_they_are_wished_to() {
    let server = start().await;
    let client = connect(&server).await;
    let ended = async |path: &str, wish: &str| {
        let mut calling = call(&client, path, &[("fuseboard-wish", wish)]).await;
        calling.send(&note("a"), path == UNARY || path == SERVER);
        if path == CLIENT || path == BIDI {
            calling.send(&note("b"), false);
            calling.send(&note("c"), false);
        }
        calling.end::<Note>().await
    };
    for path in [UNARY, SERVER, CLIENT, BIDI] {
        let failed = ended(path, "status=unavailable&message=no+luck").await.unwrap();
        assert_eq!(
            (failed.code, failed.message.as_str(), failed.in_head, failed.messages.len()),
            (Some(14), "no luck", true, 0),
            "{path}"
        );
    }
    for path in [SERVER, BIDI] {
        let failed = ended(path, "status=8&after=2").await.unwrap();
        assert_eq!((failed.code, failed.in_head, failed.messages.len()), (Some(8), false, 2), "{path}");
    }
    let failed = ended(CLIENT, "status=Aborted&after=2").await.unwrap();
    assert_eq!((failed.code, failed.messages.len()), (Some(10), 0));
    for path in [UNARY, SERVER, CLIENT, BIDI] {
        assert_eq!(
            ended(path, "reset=true").await.unwrap_err().reason(),
            Some(Reason::INTERNAL_ERROR),
            "{path}"
        );
    }
    assert_eq!(ended(BIDI, "reset=true&after=1").await.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    let plain = ended(UNARY, "http=503").await.unwrap();
    assert_eq!((plain.code, plain.headers.get("grpc-accept-encoding")), (None, None));
    let wrong = ended(UNARY, "stauts=5").await.unwrap();
    assert_eq!(wrong.code, Some(3));
    assert!(
        wrong.message.starts_with("fuseboard-wish: stauts: not known here; there are status, "),
        "{wrong:?}"
    );
    assert_eq!(ended(UNARY, "close=true").await.unwrap().code, Some(0));
    let connection = client.connection;
    tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_deadline_ends_a_call_and_a_client_that_goes_away_does_too() {
    let server = start().await;
    let client = connect(&server).await;
    let metadata = [("grpc-timeout", "20m"), ("fuseboard-wish", "delay=10s")];
    let ended = unary::<Note>(&client, UNARY, &metadata, &note("")).await.unwrap();
    assert_eq!((ended.code, ended.message.as_str()), (Some(4), "the deadline passed"));
    let metadata = [("grpc-timeout", "50m"), ("fuseboard-wish", "messages=2&every=10s")];
    let ended = unary::<Note>(&client, SERVER, &metadata, &note("")).await.unwrap();
    assert_eq!((ended.code, ended.in_head, ended.messages.len()), (Some(4), false, 1));

    let control = server.control();
    let mut calling = call(&client, UNARY, &[("fuseboard-wish", "delay=10s")]).await;
    calling.send(&note(""), true);
    until(|| control.counts().requests.active == 1).await;
    drop(calling);
    until(|| control.counts().requests.active == 0).await;
}

#[tokio::test]
async fn what_is_no_call_is_told_so() {
    let server = start_with(|options| options.max_body_bytes = 100).await;
    let client = connect(&server).await;
    let code = async |bytes: &[u8], metadata: &[(&str, &str)]| {
        let mut calling = call(&client, UNARY, metadata).await;
        calling.send.send_data(Bytes::copy_from_slice(bytes), true).unwrap();
        calling.end::<Note>().await.unwrap().code
    };
    assert_eq!(code(b"", &[]).await, Some(12), "none");
    assert_eq!(code(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]).await, Some(12), "two");
    assert_eq!(code(&[0, 0, 0, 0, 9], &[]).await, Some(13), "broken off");
    assert_eq!(code(&[0, 0, 0, 0, 1, 0xff], &[]).await, Some(13), "no protobuf");
    assert_eq!(code(&[0, 0, 0, 0, 101], &[]).await, Some(8), "too long");
    assert_eq!(code(&[1, 0, 0, 0, 0], &[]).await, Some(13), "compressed, nobody knows how");
    assert_eq!(code(b"", &[("grpc-encoding", "br")]).await, Some(12));
    assert_eq!(code(b"", &[("grpc-timeout", "soon")]).await, Some(13));

    let (_fortio, address) = fortio().await;
    assert_eq!(ask_at(address, "POST /x/y", &["Content-Type: application/grpc"], "").await.status(), 505);
    let client = Client::plain(address).await;
    assert_eq!(client.get("/fgrpc.PingServer/Ping").await.unwrap().status, 415);
    let json = Request::post("http://test/x/y").header("content-type", "application/grpc+json");
    assert_eq!(client.ask(json, "x").await.unwrap().status, 415);
}

#[tokio::test]
async fn messages_may_be_compressed() {
    let server = start().await;
    let client = connect(&server).await;
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    zipped.write_all(&note("zipped").encode_to_vec()).unwrap();
    let zipped = zipped.finish().unwrap();
    let length = u32::try_from(zipped.len()).unwrap().to_be_bytes();
    let mut calling = call(&client, UNARY, &[("grpc-encoding", "gzip")]).await;
    calling.send.send_data([&[1][..], &length, &zipped].concat().into(), true).unwrap();
    let (head, mut body) = calling.response.await.unwrap().into_parts();
    assert_eq!(head.headers["grpc-encoding"], "gzip");
    let data = body.data().await.unwrap().unwrap();
    assert_eq!(data[0], 1);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&data[5..]).read_to_end(&mut plain).unwrap();
    assert_eq!(Note::decode(&plain[..]).unwrap(), Note { number: 1, payload: "zipped".into() });
}

#[tokio::test]
async fn the_knobs_of_an_instance_fail_calls_too() {
    let server = start_with(|options| options.name = Some("a".into())).await;
    let client = connect(&server).await;
    server.control().fail_all(true);
    let ended = unary::<Note>(&client, UNARY, &[], &note("")).await.unwrap();
    assert_eq!((ended.code, &ended.headers["x-httpbin-instance"]), (None, &"a".parse().unwrap()));
    server.control().fail_all(false);
    assert_eq!(unary::<Note>(&client, UNARY, &[], &note("")).await.unwrap().code, Some(0));
}
