//! Calls in HTTP/2 (`-h2`): by prior knowledge on `http://`, agreed upon in the handshake of TLS on `https://`. A call is a
//! stream; as many callers as `-streams` says share a connection. Every answer is read to its end, as by fortio's standard
//! client, which it uses for HTTP/2.

mod exchange;
mod line;
mod request;

use std::fmt::Display;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::answer::{Receiver, Refusal};
use crate::client::{Destination, Reply, route_to};
use crate::connection::{ConnectError, SocketCounts};
use crate::deadline::Deadline;
use crate::event::{Level, LogLine, Observer};
use crate::histogram::Histogram;
use crate::redirect::{self, Hop};
use crate::request::Body;
use crate::target::TargetError;

pub(crate) use exchange::{Broken, Outgoing, Received, converse, words};
pub(crate) use line::Line;
pub(crate) use request::Request;

/// How often a request is sent until a server begins with it; Go's number.
pub(crate) const MOST_ATTEMPTS: u32 = 7;

/// One caller; makes one call at a time.
#[derive(Debug)]
pub(crate) struct Client {
    destination: Arc<Destination>,
    request: Request,
    line: Arc<Line>,
    /// Where the last redirects to another host led, and the way there.
    elsewhere: Option<(String, Line)>,
    /// Of the ways that were left.
    left: SocketCounts,
    speaker: Speaker,
}

impl Client {
    /// Within a runtime.
    pub(crate) fn new(
        destination: Arc<Destination>,
        request: Request,
        line: Arc<Line>,
        connecting: Histogram,
        observer: Observer,
        id: usize,
    ) -> Self {
        let speaker =
            Speaker { destination: Arc::clone(&destination), observer, id, deadline: Deadline::new() };
        Self { destination, request, line, elsewhere: None, left: SocketCounts::new(connecting), speaker }
    }

    pub(crate) async fn call(&mut self, receiver: Option<&mut dyn Receiver>) -> Reply {
        self.speaker.deadline.set(Instant::now() + self.destination.http.timeout);
        if self.destination.http.follow_redirects {
            return self.follow(receiver).await;
        }
        match self.speaker.ask(&self.line, &mut self.request, receiver).await {
            Ok(came) => self.speaker.judged(&came),
            Err(reply) => reply,
        }
    }

    /// One call with a body that is sent as it comes, and so only once.
    pub(crate) async fn upload(
        &mut self,
        pieces: &mut mpsc::Receiver<Vec<u8>>,
        receiver: &mut dyn Receiver,
    ) -> Reply {
        let Destination { target, http, style, .. } = &*self.destination;
        self.speaker.deadline.set(Instant::now() + http.timeout);
        let mut request = match Request::with(http, target, *style, Body::Streamed) {
            Ok(request) => request,
            Err(error) => return self.speaker.lost(&error),
        };
        match self.speaker.tell(&self.line, &mut request, pieces, receiver).await {
            Ok(came) => self.speaker.judged(&came),
            Err(reply) => reply,
        }
    }

    /// The sockets beside those of the line that it shares.
    pub(crate) fn into_sockets(self) -> SocketCounts {
        let mut sockets = self.left;
        if let Some(elsewhere) = self.elsewhere.and_then(|(_, line)| line.sockets()) {
            sockets.merge(&elsewhere);
        }
        sockets
    }

    /// One call that goes where redirects lead; only its last answer is shown.
    async fn follow(&mut self, receiver: Option<&mut dyn Receiver>) -> Reply {
        let destination = Arc::clone(&self.destination);
        let mut last = redirect::LastAnswer::for_receiver(receiver);
        let mut hop = Hop::first(&destination.target, &destination.http);
        for redirects in 0.. {
            let request = Request::with(&hop.options, &hop.target, destination.style, hop.body);
            let way = match self.way_to(&hop).await {
                Ok(()) => self.elsewhere.as_ref().filter(|_| !self.is_home(&hop)),
                Err(error) => return self.speaker.lost(&error),
            };
            let line = way.map_or(&*self.line, |(_, line)| line);
            let asked = match request {
                Ok(mut request) => self.speaker.ask(line, &mut request, Some(&mut last)).await,
                Err(error) => return self.speaker.lost(&error),
            };
            let came = match asked {
                Ok(came) => came,
                Err(reply) => return reply,
            };
            let location = came.fields.get(http::header::LOCATION);
            let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()));
            match hop.next(came.status, location.as_deref()) {
                None => return self.speaker.judged(&came),
                Some(Err(error)) => return self.speaker.lost(&error),
                Some(Ok(_)) if redirects == redirect::MOST => break,
                Some(Ok(next)) => hop = next,
            }
        }
        self.speaker.lost(&format_args!("stopped after {} redirects", redirect::MOST))
    }

    fn is_home(&self, hop: &Hop) -> bool {
        let home = &self.destination.target;
        let same_socket = self.destination.http.unix_socket.is_some() && hop.target.secure == home.secure;
        same_socket || hop.target.origin() == home.origin()
    }

    /// Makes `elsewhere` lead to a hop that is not at home.
    async fn way_to(&mut self, hop: &Hop) -> Result<(), TargetError> {
        let origin = hop.target.origin();
        if self.is_home(hop) || self.elsewhere.as_ref().is_some_and(|(known, _)| *known == origin) {
            return Ok(());
        }
        if let Some(sockets) = self.elsewhere.take().and_then(|(_, line)| line.sockets()) {
            self.left.merge(&sockets);
        }
        let http = &self.destination.http;
        let route = route_to(&hop.target, http, &self.destination.security).await?;
        let connecting = self.left.connecting.emptied();
        let line = Line::new(route, http.connection_reuse, connecting, http.keep_alive);
        self.elsewhere = Some((origin, line));
        Ok(())
    }
}

/// The clock of the call, and a voice in the log.
#[derive(Debug)]
struct Speaker {
    destination: Arc<Destination>,
    observer: Observer,
    id: usize,
    deadline: Deadline,
}

impl Speaker {
    /// One request and its answer; what went wrong is logged and counted as a socket error.
    async fn ask(
        &mut self,
        line: &Line,
        request: &mut Request,
        mut receiver: Option<&mut dyn Receiver>,
    ) -> Result<Received, Reply> {
        let Some((head, body)) = request.next(|| fastrand::u128(..)) else {
            return Err(self.lost(&"a UUID has no place in this path"));
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let leased = line.lease(&mut self.deadline).await;
            let lease = leased.map_err(|error| self.unconnected(request, &error))?;
            // Reborrowed by hand: the receiver outlives this turn of the loop.
            let receiver: Option<&mut dyn Receiver> = match &mut receiver {
                Some(receiver) => Some(&mut **receiver),
                None => None,
            };
            let outgoing = Outgoing::Whole(body.clone());
            let talk = converse(lease.sender.clone(), head.clone(), outgoing, receiver);
            match self.deadline.bound(talk).await {
                Some(Ok(came)) => return Ok(came),
                Some(Err(broken)) => {
                    if broken.ends_the_connection() {
                        line.forget(&lease);
                    }
                    // Silently again: a server may close a connection at any time, and has not begun with this.
                    if attempts == MOST_ATTEMPTS || !(lease.reused && broken.unprocessed) {
                        return Err(self.failed(request, &broken));
                    }
                }
                None => return Err(self.unanswered(request, "i/o timeout", 0)),
            }
        }
    }

    async fn tell(
        &mut self,
        line: &Line,
        request: &mut Request,
        pieces: &mut mpsc::Receiver<Vec<u8>>,
        receiver: &mut dyn Receiver,
    ) -> Result<Received, Reply> {
        let Some((head, _)) = request.next(|| fastrand::u128(..)) else {
            return Err(self.lost(&"a UUID has no place in this path"));
        };
        let leased = line.lease(&mut self.deadline).await;
        let lease = leased.map_err(|error| self.unconnected(request, &error))?;
        let talk = converse(lease.sender.clone(), head, Outgoing::Pieces(pieces), Some(receiver));
        match self.deadline.bound(talk).await {
            Some(told) => told.map_err(|broken| self.failed(request, &broken)),
            None => Err(self.unanswered(request, "i/o timeout", 0)),
        }
    }

    fn judged(&self, came: &Received) -> Reply {
        let code = i32::from(came.status);
        let mut reply = Reply { code, bytes: came.body_bytes, head_bytes: 0, refusal: Refusal::default() };
        if !reply.is_ok() {
            reply.refusal = Refusal::of_fields(&came.fields);
            if self.destination.http.log_errors {
                self.log(
                    LogLine::new(Level::Warning, "Non ok http code")
                        .with("code", code)
                        .with("status", format!("HTTP/2.0 {code}")),
                );
            }
        }
        reply
    }

    fn unconnected(&self, request: &Request, error: &ConnectError) -> Reply {
        self.unanswered(request, &error.words(), 0)
    }

    fn failed(&self, request: &Request, broken: &Broken) -> Reply {
        self.unanswered(request, &words(&broken.error), broken.body_bytes)
    }

    fn unanswered(&self, request: &Request, error: &str, bytes: u64) -> Reply {
        let (method, url) = (request.method.as_str(), self.destination.target.url.as_str());
        self.log(
            LogLine::new(Level::Error, "Unable to send request")
                .with("method", method)
                .with("url", url)
                .with("err", error),
        );
        Reply::socket_error(bytes)
    }

    /// A call that leads nowhere.
    fn lost(&self, error: &dyn Display) -> Reply {
        let line = LogLine::new(Level::Error, "Unable to follow the redirect").with("err", error.to_string());
        self.log(line.with("url", self.destination.target.url.as_str()));
        Reply::socket_error(0)
    }

    fn log(&self, line: LogLine) {
        self.observer.log(line.with("thread", self.id).with("run", self.destination.run_id));
    }
}
