//! A scripted server: what each request is answered with, and what came.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{DEADLINE, Gate, settle};

/// One answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    status: u16,
    fields: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    interim: Option<u16>,
    reset: Option<Reason>,
    cut_after: Option<usize>,
    early: bool,
    gate: Option<Gate>,
    farewell: bool,
}

impl Reply {
    /// 200 with a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// No answer: the stream is reset.
    pub fn reset(reason: Reason) -> Self {
        Self { reset: Some(reason), ..Self::default() }
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// With one more trailer.
    #[must_use]
    pub fn trailer(mut self, name: &'static str, value: &str) -> Self {
        let trailers = self.trailers.get_or_insert_default();
        trailers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// After an interim answer.
    #[must_use]
    pub const fn after_interim(mut self, status: u16) -> Self {
        self.interim = Some(status);
        self
    }

    /// Broken off by a reset after so many bytes of the body.
    #[must_use]
    pub const fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// Once the gate lets it pass.
    #[must_use]
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Without waiting for the end of the request.
    #[must_use]
    pub const fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// The connections that are there take no further streams from then on.
    #[must_use]
    pub const fn then_farewell(mut self) -> Self {
        self.farewell = true;
        self
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// `:authority`.
    pub authority: String,
    /// `:scheme`.
    pub scheme: String,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// What came after that.
    pub trailers: HeaderMap,
    /// The number of its connection.
    pub connection: usize,
}

impl Seen {
    /// A field, or a trailer of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let value = self.fields.get(name).or_else(|| self.trailers.get(name))?;
        Some(value.to_str().unwrap())
    }
}

/// What came so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub accepted: usize,
    /// Connections open now.
    pub open: usize,
    /// The most that were open at a time.
    pub most_open: usize,
    /// Streams that came.
    pub streams: usize,
    /// Streams being served now.
    pub running: usize,
    /// The most that ran at a time.
    pub most_running: usize,
    /// Streams that the client gave up.
    pub given_up: usize,
}

#[derive(Default)]
struct State {
    counts: Counts,
    seen: Vec<Seen>,
}

type Script = dyn Fn(&Seen, usize) -> Reply + Send + Sync;

struct Shared {
    state: Mutex<State>,
    script: Box<Script>,
    farewell: watch::Sender<u32>,
}

/// A server on a port of the system's choice.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Upstream {
    /// Answers each request as `script` says, which is given its number too, from 0.
    pub async fn start(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(Builder::new(), script).await
    }

    /// The same with other settings.
    pub async fn start_with(
        builder: Builder,
        script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            script: Box::new(script),
            farewell: watch::Sender::new(0),
        });
        let own = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, builder.clone(), Arc::clone(&own)));
            }
        });
        Self { address, shared, serving }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came so far.
    pub fn counts(&self) -> Counts {
        self.shared.state().counts
    }

    /// The requests so far, in the order of their ends.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// Says on every connection that is there now that it takes no further streams.
    pub fn say_farewell(&self) {
        self.shared.say_farewell();
    }

    /// Waits until what came is as wanted.
    pub async fn until(&self, wanted: impl Fn(Counts) -> bool) -> Counts {
        let patience: Duration = DEADLINE;
        assert!(
            settle(patience, || wanted(self.counts())).await,
            "it never came to that: {:?}",
            self.counts()
        );
        self.counts()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn say_farewell(&self) {
        self.farewell.send_modify(|times| *times += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connection(socket: TcpStream, builder: Builder, shared: Arc<Shared>) {
    let number = {
        let counts = &mut shared.state().counts;
        counts.accepted += 1;
        counts.open += 1;
        counts.most_open = counts.most_open.max(counts.open);
        counts.accepted
    };
    drop(socket.set_nodelay(true));
    if let Ok(mut frames) = builder.handshake::<_, Bytes>(socket).await {
        let mut farewell = shared.farewell.subscribe();
        loop {
            tokio::select! {
                stream = frames.accept() => match stream {
                    Some(Ok((request, respond))) => {
                        tokio::spawn(serve(request, respond, number, Arc::clone(&shared)));
                    }
                    _ => break,
                },
                () = said(&mut farewell) => {
                    frames.graceful_shutdown();
                    while let Some(Ok((request, respond))) = frames.accept().await {
                        tokio::spawn(serve(request, respond, number, Arc::clone(&shared)));
                    }
                    break;
                }
            }
        }
    }
    shared.state().counts.open -= 1;
}

/// Waits for the next word; for ever if nobody can say it any more.
async fn said(farewell: &mut watch::Receiver<u32>) {
    if farewell.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn serve(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    connection: usize,
    shared: Arc<Shared>,
) {
    let nth = {
        let counts = &mut shared.state().counts;
        counts.streams += 1;
        counts.running += 1;
        counts.most_running = counts.most_running.max(counts.running);
        counts.streams - 1
    };
    let whole = answer(request, respond, connection, nth, &shared).await.is_some();
    let counts = &mut shared.state().counts;
    counts.running -= 1;
    if !whole {
        counts.given_up += 1;
    }
}

/// `None`: the client gave up.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: usize,
    nth: usize,
    shared: &Shared,
) -> Option<()> {
    let (parts, mut stream) = request.into_parts();
    let mut seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        authority: parts.uri.authority().map(ToString::to_string).unwrap_or_default(),
        scheme: parts.uri.scheme_str().unwrap_or_default().to_owned(),
        fields: parts.headers,
        body: Vec::new(),
        trailers: HeaderMap::new(),
        connection,
    };
    let reply = (shared.script)(&seen, nth);
    if !reply.early && reply.reset.is_none() {
        while let Some(part) = stream.data().await {
            let part = part.ok()?;
            stream.flow_control().release_capacity(part.len()).ok()?;
            seen.body.extend_from_slice(&part);
        }
        seen.trailers = stream.trailers().await.ok()?.unwrap_or_default();
    }
    shared.state().seen.push(seen);
    if let Some(gate) = &reply.gate {
        tokio::select! {
            () = gate.wait() => {}
            _ = std::future::poll_fn(|cx| respond.poll_reset(cx)) => return None,
        }
    }
    if let Some(reason) = reply.reset {
        respond.send_reset(reason);
        return Some(());
    }
    if let Some(status) = reply.interim {
        let mut interim = Response::new(());
        *interim.status_mut() = StatusCode::from_u16(status).unwrap();
        respond.send_informational(interim).ok()?;
    }
    if reply.farewell {
        shared.say_farewell();
    }
    send(respond, reply).await
}

async fn send(mut respond: SendResponse<Bytes>, reply: Reply) -> Option<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
    *response.headers_mut() = reply.fields;
    let bare = reply.body.is_empty() && reply.trailers.is_none() && reply.cut_after.is_none();
    let mut stream = respond.send_response(response, bare).ok()?;
    if bare {
        return Some(());
    }
    let mut body = Bytes::from(reply.body);
    body.truncate(reply.cut_after.unwrap_or(usize::MAX));
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
        let part = body.split_to(room.min(body.len()));
        let last = body.is_empty() && reply.trailers.is_none() && reply.cut_after.is_none();
        stream.send_data(part, last).ok()?;
    }
    if reply.cut_after.is_some() {
        // What was sent goes out before the reset.
        tokio::task::yield_now().await;
        stream.send_reset(Reason::INTERNAL_ERROR);
    } else if let Some(trailers) = reply.trailers {
        stream.send_trailers(trailers).ok()?;
    }
    Some(())
}
