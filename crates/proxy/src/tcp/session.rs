//! The life of one TCP connection, as a list of steps: TLS with the client, find the cluster, connect to a host,
//! carry bytes, record, close, log.
//! Slot and upstream connection are held until both directions are over, and given back by drop, whatever ends it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use fuseboard_admin::logging::logger;
use fuseboard_core::Outcome;
use fuseboard_core::tcp::{Ending, Life, Lifetimes};
use fuseboard_snapshot::{Detect, ListenerTarget, TcpProxy};
use tokio::io::Interest;
use tracing::debug;

use super::connect::Failed;
use super::copy::{Broken, Tunnel};
use super::notes::Notes;
use crate::arrival::{Arrival, handshake};
use crate::clock;
use crate::deadline::{Timer, Timers};
use crate::exchange::held::Held;
use crate::stream::{Stream, Wire};
use crate::upstream::Line;
use crate::worker::{Worker, WorkerCluster};

/// A breaker's probe is good when its connection has not been reset for this long, even if nobody said a word: whoever
/// connects in advance must not keep the breaker waiting.
const PROBE_STANDS: Duration = Duration::from_secs(1);

/// How long a client may take what a host said before it broke.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One client's connection.
pub(super) struct Session {
    pub(super) worker: Rc<Worker>,
    pub(super) client: Stream,
    pub(super) timers: Timers,
    pub(super) notes: Notes,
}

/// Serves one connection to its end.
pub(crate) fn serve(worker: Rc<Worker>, arrival: Arrival) -> impl Future<Output = ()> {
    let Arrival { stream, called, header, server_name, started, permit, seat } = arrival;
    let mut notes = Notes::new(Rc::clone(&worker), permit, called, started);
    notes.asked_for(server_name);
    let mut session = Session { timers: worker.deadlines.register(), client: stream, worker, notes };
    // The future holds nothing twice, as one would that is given all this.
    async move {
        match header {
            Ok(_) => session.run().await,
            Err(why) => session.notes.no_proxy_header(why),
        }
        let Session { client, notes, .. } = session;
        // The socket before its place in the listener.
        drop(client);
        drop(notes);
        drop(seat);
    }
}

/// Whether the cluster's rule began to ask for something else while a host was connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Over,
    Outdated,
}

impl Session {
    async fn run(&mut self) {
        let Some((_, _, patience)) = self.target() else { return self.notes.no_route() };
        if !self.secure(patience).await {
            return;
        }
        loop {
            let Some((cluster, tcp, _)) = self.target() else { return self.notes.no_route() };
            self.notes.to(&cluster);
            if self.serve(&cluster, tcp).await == Served::Over {
                return;
            }
        }
    }

    /// Agrees on TLS with the client, if the listener has it. False: the connection is over.
    async fn secure(&mut self, patience: Duration) -> bool {
        let Some(context) = self.notes.listener().tls() else { return true };
        match handshake(&mut self.client, &self.timers, &context, patience).await {
            Some(Ok(())) => {
                self.client.tls().into_iter().for_each(|session| self.notes.secured(session));
                true
            }
            failed => {
                let failure = failed.and_then(Result::err);
                let session = self.client.tls();
                let plain_text =
                    failure.is_some() && session.is_some_and(fuseboard_tls::Session::began_in_plain_text);
                self.notes.not_secured(failure.as_ref(), plain_text);
                false
            }
        }
    }

    async fn serve(&mut self, cluster: &Rc<WorkerCluster>, tcp: TcpProxy) -> Served {
        let worker = Rc::clone(&self.worker);
        let mut attempts = 0;
        let mut held = loop {
            attempts += 1;
            match self.connect(&worker, cluster).await {
                Ok(held) => break held,
                Err(Failed::Outdated) => return Served::Outdated,
                Err(Failed::OfHost) if attempts < tcp.max_connect_attempts.get() => {}
                Err(failed) => {
                    if failed == Failed::OfHost {
                        self.notes.attempts_exceeded();
                    }
                    return Served::Over;
                }
            }
        };
        self.carry(&mut held, tcp).await;
        Served::Over
    }

    /// The cluster that the listener leads to now, and the time that TLS with the client may take; `None`: no snapshot has the
    /// listener any more.
    fn target(&self) -> Option<(Rc<WorkerCluster>, TcpProxy, Duration)> {
        let view = self.worker.view();
        let position = view.live.listener(self.notes.listener().id)?;
        let listener = &view.live.snapshot.listeners[position];
        let (ListenerTarget::Tcp(tcp) | ListenerTarget::Detect(Detect { tcp, .. })) = listener.target else {
            return None;
        };
        Some((Rc::clone(view.at(tcp.cluster)?), tcp, listener.http.handshake_timeout))
    }

    /// Carries bytes until the end, and tells everybody of it.
    async fn carry(&mut self, held: &mut Held<'_>, tcp: TcpProxy) {
        let Self { worker, client, timers, notes } = self;
        let now = clock::now();
        let bounds = Lifetimes { idle: tcp.idle_timeout, age: tcp.max_duration };
        // As Envoy: age counts from the accept, idleness from the connection to the host.
        let mut life = Life::new(bounds, notes.started());
        life.moved(now);
        if held.is_probe() {
            timers.arm(Timer::Try, now + PROBE_STANDS);
        }
        let client = client.wire();
        let tunnel = Tunnel::new(&worker.buffers, &worker.pipes);
        let mut carrying = Carrying { worker, client, timers, notes, tunnel, life, heard: false };
        carrying.plan();
        let ending = loop {
            let Some(connection) = held.connection.as_mut().and_then(Line::socket) else { return };
            match carrying.next(connection.wire()).await {
                Event::Heard => held.record(Outcome::Success { status: 200 }, clock::now()),
                Event::ProbeStands => {
                    held.record_at_breaker(Outcome::Success { status: 200 }, clock::now());
                }
                Event::Ended(ending) => break ending,
            }
        };
        let (heard, by) = (carrying.tunnel.heard(), carrying.tunnel.closed_by(ending));
        drop(carrying);
        let now = clock::now();
        held.record(ending.outcome(heard), now);
        self.notes.ended(ending);
        if let Some(connection) = held.connection.as_mut().and_then(Line::socket) {
            if ending.is_reset() {
                // Whoever still listens must not take a broken end for one in order.
                self.client.reset_on_close();
                connection.reset_on_close();
            } else {
                self.client.say_end();
                connection.say_end();
            }
        }
        held.close(by, now);
    }
}

/// What happens on a connection that carries bytes.
enum Event {
    /// The host sent its first byte.
    Heard,
    /// The time is over in which a probe must not be reset.
    ProbeStands,
    Ended(Ending),
}

/// A connection that carries bytes, without the host's socket.
struct Carrying<'s> {
    worker: &'s Worker,
    client: Wire<'s>,
    timers: &'s Timers,
    notes: &'s mut Notes,
    tunnel: Tunnel<'s>,
    life: Life,
    /// [`Event::Heard`] has been told.
    heard: bool,
}

impl Carrying<'_> {
    async fn next(&mut self, mut host: Wire<'_>) -> Event {
        let (client, host_socket) = (self.client.tcp(), host.tcp());
        // A reset is heard even while there is no room to read what came before it.
        let mut client_reset = pin!(client.ready(Interest::ERROR));
        let mut host_reset = pin!(host_socket.ready(Interest::ERROR));
        poll_fn(|cx| {
            let carried = self.poll_carry(cx, &mut host);
            if self.tunnel.heard().host && !self.heard {
                self.heard = true;
                return Poll::Ready(Event::Heard);
            }
            if let Poll::Ready(ending) = carried {
                return Poll::Ready(Event::Ended(ending));
            }
            if client_reset.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Ended(Ending::ClientReset));
            }
            if !self.tunnel.is_broken() && host_reset.as_mut().poll(cx).is_ready() {
                self.tunnel.host_broke(io::ErrorKind::ConnectionReset.into());
                if let Poll::Ready(ending) = self.poll_carry(cx, &mut host) {
                    return Poll::Ready(Event::Ended(ending));
                }
            }
            if self.tunnel.is_broken() && !self.timers.is_armed(Timer::Pause) {
                self.timers.arm(Timer::Pause, clock::now() + LAST_WORDS);
            }
            self.poll_time(cx)
        })
        .await
    }

    /// Ready when both directions are over, or a side broke.
    fn poll_carry(&mut self, cx: &mut Context<'_>, host: &mut Wire<'_>) -> Poll<Ending> {
        let before = self.tunnel.carried();
        let polled = self.tunnel.poll(cx, &mut self.client, host);
        let after = self.tunnel.carried();
        if after != before {
            self.life.moved(clock::now());
            self.notes.moved(&before, &after);
        }
        polled.map(|over| match over {
            Ok(()) => Ending::Closed,
            Err(Broken::Client(error)) => {
                debug!(target: logger::CONN_HANDLER, "a client broke off: {error}");
                Ending::ClientReset
            }
            Err(Broken::Host(error)) => {
                self.notes.broke_off(error);
                Ending::HostReset
            }
        })
    }

    fn poll_time(&mut self, cx: &Context<'_>) -> Poll<Event> {
        if self.worker.is_draining() {
            self.life.drain();
            self.plan();
        }
        while let Some(timer) = self.timers.poll_expired(cx) {
            match timer {
                Timer::Try => return Poll::Ready(Event::ProbeStands),
                Timer::Pause => return Poll::Ready(Event::Ended(Ending::HostReset)),
                _ => {}
            }
            if let Some(ending) = self.life.due(clock::now()) {
                return Poll::Ready(Event::Ended(ending));
            }
            self.plan();
        }
        Poll::Pending
    }

    /// Looks again when something may be due. Bytes that move later only put that off, so nothing is armed for them.
    fn plan(&self) {
        self.timers.set(Timer::Idle, self.life.deadline());
    }
}
