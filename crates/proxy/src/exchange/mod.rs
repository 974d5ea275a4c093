//! The life of one request, as a list of steps: route, admit, pick, connect, send, record, retry, fall back, reply,
//! log. Each step is a
//! file of this folder; what is held on the way is given back by drop, whatever ends the exchange.

mod account;
mod admit;
mod answer;
mod answer_out;
mod attempt;
mod breaker;
mod copy;
mod fallback;
mod forward;
mod grpc;
pub(crate) mod held;
mod hold_back;
mod metrics;
mod reply;
mod request;
mod retry;
mod route;
mod share;
mod tunnel;

use std::rc::Rc;
use std::task::{Context, Poll};

use fuseboard_core::Instant;
use fuseboard_core::fallback::Trigger;
use fuseboard_core::limit::Kind;
use fuseboard_http1::{BodyDecoder, Limits, Method, RequestHead, RequestSummary};

use crate::clock;
use crate::deadline::Timer;
use crate::downstream::{Downstream, Rejected, Spoken};
use crate::fallback::KeptAnswer;
use crate::local_reply::Cause;
use crate::stats::ClusterBlock;
use crate::stream::Way;
use crate::upstream::millis;
use crate::worker::Worker;

use account::Account;
use fallback::StandIn;
use metrics::Before;
use retry::Retries;

pub(crate) use reply::flush;
pub(crate) use route::RouteCache;

/// What becomes of the client's connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request may come.
    Next,
    /// It is closed.
    Close,
    /// It is closed once the client has had time to read the answer.
    Linger,
    /// It is reset: the answer was broken off.
    Reset,
    /// The client closed it.
    Gone,
}

/// How the steps after the route ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The answer was written to its end.
    Answered,
    /// Nothing was written; a local answer is due.
    Failed(Cause),
    /// Nothing was written; an answer that ends so is held back.
    Replaceable(Trigger),
    /// The answer was begun and cannot be finished.
    Broken(Cause),
    /// There is nobody to answer.
    Gone,
}

/// What may end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    Timer(Timer),
    Gone,
}

/// One request under way.
struct Exchange<'c> {
    down: &'c mut Downstream,
    worker: Rc<Worker>,
    request: RequestSummary,
    head_length: usize,
    body: RequestBody,
    /// The latest reading of the clock.
    now: Instant,
    /// The answer ends the client's connection.
    close: bool,
    account: Account,
    /// What goes to the upstream, from `sent_output` on.
    upstream_output: Vec<u8>,
    sent_output: usize,
    before: Before,
    /// What is asked of the cluster: a connection of its own, or a stream.
    kind: Kind,
    /// It is a call of gRPC.
    grpc: bool,
    /// An answer that is passed on if no fallback takes its place.
    held_back: Option<Box<KeptAnswer>>,
    /// Another cluster is asked in place of the one that failed.
    stand_in: Option<Box<StandIn>>,
}

/// Where the request's body is. Positions count from the front of the input, where the head stays.
struct RequestBody {
    decoder: BodyDecoder,
    /// Up to here bytes were found to be of this body.
    checked: usize,
    /// Up to here they were sent.
    sent: usize,
    /// All sent bytes are still there, so that they can be sent again.
    replayable: bool,
    /// The client waits for our 100.
    awaits_continue: bool,
    way: Way,
}

/// Serves the request whose head is at the front of the input.
pub(crate) async fn run(down: &mut Downstream, request: RequestSummary, head_length: usize) -> After {
    let started = clock::now();
    down.now = started;
    count_begun(down);
    down.stats().http.downstream_rq_active.inc();
    let mut exchange = Exchange::new(down, request, head_length, started);
    // gRPC needs trailers, and so HTTP/2; others are asked only when they are answered by us.
    exchange.grpc = exchange.down.is_stream() && exchange.is_grpc();
    let ended = exchange.serve().await;
    exchange.finish(ended).await
}

/// What cannot be parsed is a request too: it is answered, and answers are counted.
fn count_begun(down: &Downstream) {
    let http = &down.stats().http;
    http.downstream_rq_total.inc();
    match down.spoken() {
        Spoken::Http1 => http.downstream_rq_http1_total.inc(),
        Spoken::Http2 => http.downstream_rq_http2_total.inc(),
    }
    http.rq_total.inc();
}

/// Answers what could not be parsed. The connection is of no further use.
pub(crate) async fn reject(down: &mut Downstream, rejected: &Rejected) {
    down.now = clock::now();
    count_begun(down);
    reply::reject(down, rejected).await;
}

impl<'c> Exchange<'c> {
    fn new(down: &'c mut Downstream, request: RequestSummary, head_length: usize, started: Instant) -> Self {
        let worker = Rc::clone(&down.worker);
        let upstream_output = worker.buffers.take_output();
        let mut body = RequestBody {
            decoder: BodyDecoder::new(request.framing, Limits::default()),
            checked: head_length,
            sent: head_length,
            replayable: true,
            awaits_continue: request.expect_continue,
            way: Way::new(!down.input.has_room()),
        };
        if !body.decoder.is_complete() && down.input.len() > head_length {
            body.awaits_continue = false;
        }
        Self {
            close: !request.keep_alive,
            account: Account::new(started),
            before: Before::new(down),
            down,
            worker,
            request,
            head_length,
            body,
            now: started,
            upstream_output,
            sent_output: 0,
            kind: Kind::Connection,
            grpc: false,
            held_back: None,
            stand_in: None,
        }
    }

    /// The steps.
    async fn serve(&mut self) -> Ended {
        if self.request.method == Method::Connect {
            return Ended::Failed(Cause::ConnectMethod);
        }
        if let Err(cause) = self.check_body() {
            return Ended::Failed(cause);
        }
        let routed = match self.route() {
            Ok(routed) => routed,
            Err(cause) => return Ended::Failed(cause),
        };
        let mut retries = Retries::new(routed.route(), routed.tier(), self.keeps_body(&routed));
        self.arm_route_timeout(&routed);
        if let Some(bound) = routed.cluster.view.config.max_stream_duration {
            self.down.timers.arm(Timer::Stream, self.account.started + bound);
        }
        let ended = loop {
            let tried = self.attempt(&routed, &mut retries).await;
            let retry = match tried {
                attempt::Tried::Ended(ended) => break ended,
                attempt::Tried::Retry(after) => after,
            };
            if let Err(ended) = self.pause(retry).await {
                break ended;
            }
        };
        if routed.cluster.view.fallback.is_none() || matches!(ended, Ended::Answered | Ended::Gone) {
            return ended;
        }
        // Elsewhere: what a request holds that goes well must not be as large as what it might need.
        Box::pin(self.fall_back(&routed, ended, &mut vec![routed.route().cluster])).await
    }

    /// The head as a view of the input.
    fn head(&self) -> RequestHead<'_> {
        let bytes = &self.down.input.filled()[..self.head_length];
        RequestHead::restore(bytes, &self.down.request_headers, self.request)
    }

    /// The route's time begins when the request is complete (semantics of Envoy's route time-out).
    fn arm_route_timeout(&mut self, routed: &route::Routed) {
        let own = routed.route().timeout;
        let Some(timeout) = self.grpc_timeout().into_iter().chain(own).min() else { return };
        self.account.route_timeout = Some(timeout);
        if self.body.decoder.is_complete() {
            self.down.timers.arm(Timer::Route, self.now + timeout);
        }
    }

    /// Whether a wait is over for a reason that has nothing to do with what is waited for.
    fn poll_interrupt(&mut self, cx: &mut Context<'_>) -> Poll<Interrupt> {
        if let Some(timer) = self.down.timers.poll_expired(cx) {
            return Poll::Ready(Interrupt::Timer(timer));
        }
        self.down.poll_gone(cx).map(|()| Interrupt::Gone)
    }

    /// Answers locally where that is due, writes the log, and decides on the connection.
    async fn finish(&mut self, ended: Ended) -> After {
        // Whatever was waited for last, be it an answer or a tunnel's silence.
        self.down.timers.disarm_all();
        let ended = if matches!(ended, Ended::Replaceable(_)) { self.pass_on().await } else { ended };
        let request_complete = self.body.decoder.is_complete();
        let after = match ended {
            Ended::Answered if !request_complete => After::Linger,
            Ended::Answered if self.close && self.down.input.len() > self.body.checked => After::Linger,
            Ended::Answered if self.close => After::Close,
            Ended::Answered => After::Next,
            Ended::Failed(cause) => self.reply(cause).await,
            Ended::Broken(cause) => {
                if self.account.replaced.is_none() {
                    self.account.fail(cause);
                    self.count_cause(cause);
                }
                if self.end_call(cause) {
                    After::Close
                } else {
                    self.count_broken_off();
                    if cause.row().outcome.is_some() && self.is_grpc() {
                        self.down.stats().http.rq_reset_after_downstream_response_started.inc();
                    }
                    After::Reset
                }
            }
            // Of those that are held back nothing is left.
            Ended::Replaceable(_) | Ended::Gone => {
                self.account.gone();
                self.down.stats().http.downstream_rq_rx_reset.inc();
                After::Gone
            }
        };
        if !request_complete && matches!(ended, Ended::Answered | Ended::Failed(_)) {
            self.down.stats().http.downstream_rq_rx_reset.inc();
        }
        self.log();
        let used = if request_complete { self.body.checked } else { self.down.input.len() };
        self.down.input.consume(used);
        self.down.now = self.now;
        let took = millis(self.now.saturating_since(self.account.started));
        self.count_messages();
        self.count_request(took);
        let http = &self.down.stats().http;
        http.downstream_rq_active.dec();
        http.downstream_rq_time.record(took);
        after
    }

    /// Counts an answer that we broke off. Envoy hears of its own resets, too.
    fn count_broken_off(&self) {
        let http = &self.down.stats().http;
        http.downstream_rq_tx_reset.inc();
        http.downstream_rq_rx_reset.inc();
    }

    /// Counts an answer that begins before its request has ended.
    fn count_early(&self) {
        self.down.stats().http.downstream_rq_response_before_rq_complete.inc();
    }

    /// Counts bytes of a connection of its own; those of a shared one are counted where its frames are.
    fn count_received(&self, n: usize) {
        if self.kind == Kind::Connection {
            let add = |block: &ClusterBlock| block.stats.upstream_cx_rx_bytes_total.add(n as u64);
            self.account.cluster_stats(&self.worker, add);
        }
    }

    /// The same for the other direction.
    fn count_sent(&self, n: usize) {
        if self.kind == Kind::Connection {
            let add = |block: &ClusterBlock| block.stats.upstream_cx_tx_bytes_total.add(n as u64);
            self.account.cluster_stats(&self.worker, add);
        }
    }

    /// Takes what was read with the head into account.
    fn check_body(&mut self) -> Result<(), Cause> {
        if self.body.decoder.is_complete() {
            return Ok(());
        }
        let passed = self
            .body
            .decoder
            .pass(&self.down.input.filled()[self.body.checked..])
            .map_err(|_| Cause::BadBody)?;
        self.body.checked += passed;
        self.account.bytes_received = self.body.decoder.content_bytes();
        Ok(())
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.worker.buffers.give_output(&mut self.upstream_output);
    }
}
