//! A server and a client of tonic for `cargo xtask interop grpc`: the client prints a line for each case, "case<TAB>what came of it".

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName};
use http_body_util::BodyExt;
use prost::Message;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::metadata::{BinaryMetadataValue, MetadataMap};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming, client, server};
use tonic_health::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Service, service_fn};

const WITHIN: Duration = Duration::from_secs(20);

/// `google.protobuf.BytesValue`.
#[derive(Clone, PartialEq, Message)]
struct Note {
    #[prost(bytes = "vec", tag = "1")]
    value: Vec<u8>,
}

type Codec = ProstCodec<Note, Note>;
type Notes = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;
type Done = Result<(), Box<dyn Error + Send + Sync>>;

fn note(value: impl Into<Vec<u8>>) -> Note {
    Note { value: value.into() }
}

// The server.

struct Talk {
    gone: Notify,
    tries: AtomicUsize,
    gate: Semaphore,
}

/// Tells that a call was given up.
struct Watch(Arc<Talk>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}

impl Talk {
    async fn unary(self: Arc<Self>, method: &str, request: Request<Note>) -> Result<Response<Note>, Status> {
        let metadata = request.metadata().clone();
        let asked = request.into_inner();
        match method {
            "Echo" => {
                let mut response = Response::new(asked);
                let asked: Vec<_> = metadata.get_all("x-ask").iter().flat_map(|one| one.to_str()).collect();
                response.metadata_mut().insert("x-head", asked.join("+").parse().map_err(internal)?);
                return Ok(response);
            }
            "Fail" => {
                let mut tail = MetadataMap::new();
                tail.insert("x-tail", "t".parse().map_err(internal)?);
                tail.insert_bin("x-tail-bin", BinaryMetadataValue::from_bytes(b"\0\xff"));
                let message = "50% of ä, and a line\nmore";
                return Err(Status::with_metadata(code(&asked), message, tail));
            }
            "Details" => {
                let details = ErrorDetails::with_bad_request_violation("name", "is empty");
                return Err(Status::with_error_details(Code::InvalidArgument, "no", details));
            }
            "Deadline" => {
                let told = metadata.get("grpc-timeout").and_then(|told| told.to_str().ok());
                if !told.and_then(time).is_some_and(|left| !left.is_zero() && left <= WITHIN) {
                    return Err(Status::failed_precondition(format!("told: {told:?}")));
                }
            }
            "Forever" => {
                let _watch = Watch(Arc::clone(&self));
                std::future::pending::<()>().await;
            }
            "Cancelled" => {
                let seen = tokio::time::timeout(Duration::from_secs(5), self.gone.notified()).await;
                seen.map_err(|_| Status::aborted("nobody went away"))?;
                return Ok(Response::new(note("seen")));
            }
            "Flaky" if self.tries.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                return Err(Status::unavailable("the first time"));
            }
            // An error: it is open.
            "Hold" => drop(self.gate.acquire().await),
            "Release" => self.gate.close(),
            _ => {}
        }
        Ok(Response::new(asked))
    }
}

fn internal(error: impl Error) -> Status {
    Status::internal(error.to_string())
}

/// The code that the first byte asks for.
fn code(asked: &Note) -> Code {
    Code::from_i32(asked.value.first().copied().unwrap_or_default().into())
}

/// A time as `grpc-timeout` says it.
fn time(told: &str) -> Option<Duration> {
    let (number, unit) = told.split_at_checked(told.len().checked_sub(1)?)?;
    let units = [("H", 3600e9), ("M", 60e9), ("S", 1e9), ("m", 1e6), ("u", 1e3), ("n", 1.0)];
    let (_, nanoseconds) = units.into_iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * nanoseconds / 1e9))
}

async fn count(request: Request<Streaming<Note>>) -> Result<Response<Note>, Status> {
    let mut notes = request.into_inner();
    let mut total = 0;
    while let Some(note) = notes.message().await? {
        total += note.value.len();
    }
    Ok(Response::new(note(total.to_string())))
}

/// As many messages as the one that came is long, then an end: well, or with the code of the first byte.
async fn many(request: Request<Note>) -> Result<Response<Notes>, Status> {
    let asked = request.into_inner();
    let end = match code(&asked) {
        Code::Ok => None,
        code => Some(Err(Status::new(code, "as asked"))),
    };
    let notes = vec![Ok(asked.clone()); asked.value.len()].into_iter().chain(end);
    Ok(Response::new(Box::pin(tokio_stream::iter(notes))))
}

/// No message: the error comes behind fields and in fields of its own.
async fn late(request: Request<Note>) -> Result<Response<Notes>, Status> {
    let end = Err(Status::new(code(&request.into_inner()), "late"));
    Ok(Response::new(Box::pin(tokio_stream::once(end))))
}

/// One message, and then nothing more for as long as the caller stays.
async fn endless(own: Arc<Talk>, request: Request<Note>) -> Result<Response<Notes>, Status> {
    let watch = Watch(own);
    let notes = tokio_stream::once(request.into_inner()).chain(tokio_stream::pending());
    Ok(Response::new(Box::pin(notes.map(move |note| {
        let _until_it_is_dropped = &watch;
        Ok(note)
    }))))
}

async fn talk(request: Request<Streaming<Note>>) -> Result<Response<Notes>, Status> {
    Ok(Response::new(Box::pin(request.into_inner())))
}

#[derive(Clone)]
struct Talking(Arc<Talk>);

impl NamedService for Talking {
    const NAME: &'static str = "fuseboard.interop.Talk";
}

impl Service<http::Request<Body>> for Talking {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let own = Arc::clone(&self.0);
        Box::pin(async move { Ok(serve_call(own, request).await) })
    }
}

async fn serve_call(own: Arc<Talk>, request: http::Request<Body>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    let method = path.rsplit('/').next().unwrap_or_default();
    let mut tail = HeaderMap::new();
    tail.insert("x-tail", http::HeaderValue::from_static("t"));
    if let Some(asked) = request.headers().get("x-ask-bin") {
        tail.insert("x-tail-bin", asked.clone());
    }
    let mut grpc = server::Grpc::new(Codec::default()).accept_compressed(Gzip).send_compressed(Gzip);
    match method {
        "Count" => grpc.client_streaming(service_fn(count), request).await,
        "Many" => with_tail(grpc.server_streaming(service_fn(many), request).await, tail),
        "Late" => grpc.server_streaming(service_fn(late), request).await,
        "Endless" => {
            grpc.server_streaming(service_fn(|request| endless(Arc::clone(&own), request)), request).await
        }
        "Talk" => grpc.streaming(service_fn(talk), request).await,
        "Nothing" => Status::unimplemented(format!("no method {method}")).into_http(),
        _ => {
            let answer = |request| {
                let own = Arc::clone(&own);
                let method = method.to_owned();
                async move { own.unary(&method, request).await }
            };
            let answer = grpc.unary(service_fn(answer), request).await;
            if method == "Echo" { with_tail(answer, tail) } else { answer }
        }
    }
}

/// The fields of `tail` among the trailers, which tonic has no word for where a call ends well.
fn with_tail(response: http::Response<Body>, tail: HeaderMap) -> http::Response<Body> {
    response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            let own: Vec<(HeaderName, _)> =
                tail.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            frame.trailers_mut().into_iter().for_each(|trailers| trailers.extend(own.clone()));
            frame
        }))
    })
}

async fn serve(address: &str) -> Done {
    let own = Talk { gone: Notify::new(), tries: AtomicUsize::new(0), gate: Semaphore::new(0) };
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("ill", ServingStatus::NotServing).await;
    let server = Server::builder().add_service(Talking(Arc::new(own))).add_service(health);
    Ok(server.serve(address.parse()?).await?)
}

// The client.

#[derive(Clone)]
struct Caller {
    channel: Channel,
    grpc: client::Grpc<Channel>,
}

fn path(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/{}/{method}", Talking::NAME)).expect("a method's name")
}

impl Caller {
    fn new(address: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
        Ok(Self { grpc: client::Grpc::new(channel.clone()), channel })
    }

    /// The same with other settings.
    fn with(&self, change: impl FnOnce(client::Grpc<Channel>) -> client::Grpc<Channel>) -> Self {
        Self { channel: self.channel.clone(), grpc: change(self.grpc.clone()) }
    }

    async fn ready(&self) -> client::Grpc<Channel> {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.expect("a channel that connects by itself");
        grpc
    }

    async fn ask(&self, method: &str, message: impl Into<Vec<u8>>) -> Result<Response<Note>, Status> {
        self.send(method, Request::new(note(message))).await
    }

    async fn send(&self, method: &str, mut request: Request<Note>) -> Result<Response<Note>, Status> {
        if !request.metadata().contains_key("grpc-timeout") {
            request.set_timeout(WITHIN);
        }
        self.ready().await.unary(request, path(method), Codec::default()).await
    }

    async fn stream(&self, method: &str, message: Note) -> Result<Response<Streaming<Note>>, Status> {
        self.ready().await.server_streaming(Request::new(message), path(method), Codec::default()).await
    }

    /// Whether the server saw that its caller went away.
    async fn seen(&self) -> String {
        let seen = self.ask("Cancelled", "").await;
        seen.map_or_else(
            |error| error.to_string(),
            |seen| String::from_utf8_lossy(&seen.get_ref().value).into(),
        )
    }
}

fn told<T>(result: &Result<T, Status>) -> String {
    match result {
        Ok(_) => "OK \"\"".to_owned(),
        Err(status) => format!("{:?} {:?}", status.code(), status.message()),
    }
}

fn say(case: &str, result: impl std::fmt::Display) {
    println!("{case}\t{result}");
}

/// What is told in fields before and behind an answer.
fn tail(metadata: &MetadataMap) -> String {
    let text = |name| metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bytes = metadata.get_bin("x-tail-bin").and_then(|value| value.to_bytes().ok());
    format!("head {:?} tail {:?} {bytes:?}", text("x-head"), text("x-tail"))
}

/// How many messages come, and how it ends.
async fn received(stream: Result<Response<Streaming<Note>>, Status>) -> String {
    let mut stream = match stream {
        Ok(stream) => stream.into_inner(),
        Err(status) => return format!("no stream, {}", told::<()>(&Err(status))),
    };
    let mut messages = 0;
    let end = loop {
        match stream.message().await {
            Ok(Some(_)) => messages += 1,
            Ok(None) => break stream.trailers().await,
            Err(status) => break Err(status),
        }
    };
    let fields = match &end {
        Ok(trailers) => trailers.clone().unwrap_or_default(),
        Err(status) => status.metadata().clone(),
    };
    format!("{messages} messages, {} {}", told(&end), tail(&fields))
}

async fn call(address: &str) -> Done {
    let caller = Caller::new(address)?;
    call_unary(&caller).await?;
    call_errors(&caller).await?;
    call_late(&caller).await?;
    call_streams(&caller).await
}

async fn call_unary(caller: &Caller) -> Done {
    let mut request = Request::new(note("hello"));
    request.metadata_mut().append("x-ask", "a".parse()?);
    request.metadata_mut().append("x-ask", "b".parse()?);
    request.metadata_mut().insert_bin("x-ask-bin", BinaryMetadataValue::from_bytes(b"\0\xff"));
    let answer = caller.send("Echo", request).await;
    let fields = answer.as_ref().map(|answer| tail(answer.metadata())).unwrap_or_default();
    say("unary with metadata", format!("{} {fields}", told(&answer)));
    let answer = caller.ask("Echo", "").await;
    let length = answer.as_ref().map_or(0, |answer| answer.get_ref().value.len());
    say("unary, an empty message", format!("{length} bytes {}", told(&answer)));
    let large = "0123456789".repeat(200_000);
    let compressed = caller.with(|grpc| grpc.send_compressed(Gzip).accept_compressed(Gzip));
    for (case, caller) in [("unary, 2 MB each way", caller), ("unary, gzip", &compressed)] {
        let answer = caller.ask("Echo", large.clone()).await;
        let whole = answer.as_ref().is_ok_and(|answer| answer.get_ref().value == large.as_bytes());
        say(case, format!("whole: {whole} {}", told(&answer)));
    }
    let small = caller.with(|grpc| grpc.max_decoding_message_size(1000));
    say("an answer that is too large", told(&small.ask("Echo", large).await));
    Ok(())
}

async fn call_errors(caller: &Caller) -> Done {
    for code in 1..=16_u8 {
        let answer = caller.ask("Fail", [code]).await;
        let fields = answer.as_ref().err().map(|status| tail(status.metadata())).unwrap_or_default();
        say(&format!("status {code}, trailers only"), format!("{} {fields}", told(&answer)));
        let answer = caller.stream("Late", note([code])).await;
        say(&format!("status {code}, after metadata"), received(answer).await);
    }
    let answer = caller.ask("Details", "").await;
    let details = answer.as_ref().err().and_then(StatusExt::get_details_bad_request);
    say("details of an error", format!("{} {details:?}", told(&answer)));
    say("a method that is not there", told(&caller.ask("Nothing", "").await));
    let elsewhere = PathAndQuery::from_static("/no.Such/Service");
    let answer = caller.ready().await.unary(Request::new(note("")), elsewhere, Codec::default()).await;
    say("a service that is not there", told::<Response<Note>>(&answer));
    Ok(())
}

async fn call_late(caller: &Caller) -> Done {
    say("the server knows the deadline", told(&caller.ask("Deadline", "x").await));
    let mut request = Request::new(note(""));
    request.set_timeout(Duration::from_millis(100));
    // The client's own clock says CANCELLED, a server's or a proxy's that is as fast DEADLINE_EXCEEDED.
    let over = match caller.send("Forever", request).await {
        Err(status) if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) => "over".to_owned(),
        other => told(&other),
    };
    say("a deadline that passes", format!("{over}, by the server: {}", caller.seen().await));
    let leaving = caller.clone();
    let left = tokio::spawn(async move { leaving.ask("Forever", "").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    left.abort();
    let left = left.await.is_err_and(|error| error.is_cancelled());
    say("a caller of a unary call that goes away", format!("{left}, by the server: {}", caller.seen().await));
    say("UNAVAILABLE the first time", told(&caller.ask("Flaky", "").await));
    Ok(())
}

async fn call_streams(caller: &Caller) -> Done {
    let notes = Request::new(tokio_stream::iter(vec![note([0; 1000]); 100]));
    let answer = caller.ready().await.client_streaming(notes, path("Count"), Codec::default()).await;
    let sum = answer.as_ref().map(|sum: &Response<Note>| sum.get_ref().value.clone()).unwrap_or_default();
    say("100 messages to the server", format!("{} {}", String::from_utf8_lossy(&sum), told(&answer)));
    for code in [Code::Ok, Code::DataLoss, Code::Unavailable] {
        let mut asked = note([0; 100]);
        asked.value[0] = code as u8;
        let answer = caller.stream("Many", asked).await;
        say(&format!("100 messages from the server, then {code:?}"), received(answer).await);
    }
    let (asked, asking) = mpsc::channel(1);
    let asking = Request::new(ReceiverStream::new(asking));
    let talk = caller.ready().await.streaming(asking, path("Talk"), Codec::default()).await;
    let mut answers: Streaming<Note> = talk?.into_inner();
    let mut turns = 0;
    while turns < 50 {
        asked.send(note([turns])).await?;
        match answers.message().await {
            Ok(Some(answer)) if answer.value == [turns] => turns += 1,
            _ => break,
        }
    }
    drop(asked);
    let end = received(Ok(Response::new(answers))).await;
    say("50 turns of talk", format!("{turns} turns, then {end}"));
    let mut answers = caller.stream("Endless", note("x")).await?.into_inner();
    let first = answers.message().await;
    drop(answers);
    say("a caller that goes away", format!("{}, by the server: {}", told(&first), caller.seen().await));
    let request = HealthCheckRequest { service: "ill".into() };
    let mut watch = HealthClient::new(caller.channel.clone()).watch(request).await?;
    let first = watch.get_mut().message().await;
    let status = first.as_ref().ok().cloned().flatten().map(|answer| answer.status());
    say("the first message of a watch", format!("{status:?} {}", told(&first)));
    Ok(())
}

/// Four calls where one may run and one may wait. Whoever is refused comes back at once; the others are let go then.
async fn limits(address: &str, direct: &str) -> Done {
    let caller = Caller::new(address)?;
    let (ended, mut ends) = mpsc::channel(4);
    for _ in 0..4 {
        let (caller, ended) = (caller.clone(), ended.clone());
        tokio::spawn(async move {
            let answer = caller.ask("Hold", "").await;
            let fields = answer.as_ref().map_or_else(Status::metadata, Response::metadata);
            let why: Vec<_> =
                fields.get_all("x-fuseboard-refused").iter().flat_map(|why| why.to_str()).collect();
            ended.send(format!("{} [{}]", told(&answer), why.join(" "))).await
        });
    }
    let mut all = Vec::new();
    while all.len() < 2 {
        all.extend(ends.recv().await);
    }
    Caller::new(direct)?.ask("Release", "").await?;
    while all.len() < 4 {
        all.extend(ends.recv().await);
    }
    all.sort();
    for (number, end) in all.iter().enumerate() {
        say(&format!("four calls where two have room: {}", number + 1), end);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Done {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(address).await,
        ["call", address] => call(address).await,
        ["limits", address, direct] => limits(address, direct).await,
        _ => Err("serve, call or limits".into()),
    }
}
