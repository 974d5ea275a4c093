//! A fake HTTP/1.1 upstream: does what its script says, and counts exactly what a proxy did to it.
//!
//! Counts are exact from the proxy's side: before a new connection or a new request is counted, every
//! connection that the proxy has closed by then counts as closed, and a request stops being in flight just
//! *before* the last bytes of its answer are sent. A proxy that closes before it connects, and finishes one
//! request before it starts another, is therefore never seen above its limit.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::DEADLINE;
use super::script::{Behaviour, OnAccept, Script, Step};
use super::wire::{Framing, ReadFailure, Wire, announced, fields, has_option};
use crate::settle;

/// What was counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections that neither side has closed.
    pub open: usize,
    /// The most that were open at once.
    pub open_peak: usize,
    /// Connections accepted.
    pub accepted: usize,
    /// Requests whose head has come, whose answer is not complete, and whose sender has not gone.
    pub in_flight: usize,
    /// The most that were in flight at once.
    pub in_flight_peak: usize,
    /// Requests whose head has come.
    pub requests: usize,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// Which connection it came on: 1 for the first accepted.
    pub connection: usize,
    /// Which request it was on the whole: 1 for the first.
    pub number: usize,
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// The head with request line and empty line, in original order and case.
    pub head: String,
    /// The content that has come so far, without chunk framing.
    pub body: Vec<u8>,
    /// The trailer lines of a chunked body.
    pub trailers: Vec<String>,
}

impl SeenRequest {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        fields(&self.head, name).next()
    }

    /// All values of a field, in order.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        fields(&self.head, name).collect()
    }
}

/// A running fake upstream. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Upstream {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(script: Script) -> Self {
        Self::start_with(OnAccept::Serve, script).await
    }

    /// The same, with something done to each connection first.
    pub async fn start_with(on_accept: OnAccept, script: Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        Self::serve(listener, on_accept, script)
    }

    /// Serves on a listener that exists: one on another address, or one whose backlog has filled meanwhile.
    pub fn serve(listener: TcpListener, on_accept: OnAccept, script: Script) -> Self {
        let address = listener.local_addr().expect("a bound listener");
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            on_accept: Mutex::new(on_accept),
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            stop: Notify::new(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Follows this script from the next request on.
    pub fn follow(&self, script: Script) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Does this to connections from the next one on.
    pub fn on_accept(&self, on_accept: OnAccept) {
        *self.shared.on_accept.lock().unwrap() = on_accept;
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let mut state = self.shared.state.lock().unwrap();
        state.sweep();
        state.counts
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.state.lock().unwrap().log.clone()
    }

    /// Waits until the counts are as wanted and gives them; panics with the counts if they never are.
    pub async fn until(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        let mut changes = self.shared.changed.subscribe();
        let reached = timeout(DEADLINE, async {
            loop {
                changes.mark_unchanged();
                let counts = self.counts();
                if wanted(&counts) {
                    return counts;
                }
                changes.changed().await.expect("the sender lives in self");
            }
        });
        reached.await.unwrap_or_else(|_| panic!("the upstream never came there: {:?}", self.counts()))
    }

    /// Closes the port and every connection, and waits until that has happened. Connecting is refused from
    /// then on.
    pub async fn stop(mut self) {
        self.shared.stop.notify_one();
        timeout(DEADLINE, &mut self.accepting).await.expect("the upstream stops").expect("it did not panic");
    }
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Arc<Script>>,
    on_accept: Mutex<OnAccept>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    stop: Notify,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    live: BTreeMap<usize, Live>,
    log: Vec<SeenRequest>,
}

#[derive(Debug)]
struct Live {
    stream: Arc<TcpStream>,
    in_flight: bool,
    /// Counted as closed; its task may not know yet.
    gone: bool,
}

impl State {
    /// Counts as closed what the other side has closed.
    fn sweep(&mut self) {
        let open: Vec<usize> = self.live.iter().filter(|(_, live)| !live.gone).map(|(id, _)| *id).collect();
        let streams: Vec<&TcpStream> = open.iter().map(|id| &*self.live[id].stream).collect();
        let closed = peer_closed(&streams);
        for (id, closed) in open.into_iter().zip(closed) {
            if closed {
                self.depart(id);
            }
        }
    }

    fn depart(&mut self, id: usize) {
        self.settle(id);
        if let Some(live) = self.live.get_mut(&id).filter(|live| !live.gone) {
            live.gone = true;
            self.counts.open -= 1;
        }
    }

    fn settle(&mut self, id: usize) {
        if let Some(live) = self.live.get_mut(&id).filter(|live| live.in_flight) {
            live.in_flight = false;
            self.counts.in_flight -= 1;
        }
    }
}

/// For each stream, whether its peer has closed or reset it, even with unread bytes before that.
#[cfg(target_os = "linux")]
fn peer_closed(streams: &[&TcpStream]) -> Vec<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled: Vec<_> = streams.iter().map(|stream| PollFd::new(stream, PollFlags::RDHUP)).collect();
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("polling");
    let over = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    polled.iter().map(|fd| fd.revents().intersects(over)).collect()
}

/// Elsewhere unread bytes hide that the peer has closed.
#[cfg(not(target_os = "linux"))]
fn peer_closed(streams: &[&TcpStream]) -> Vec<bool> {
    let peek = |stream: &TcpStream| {
        socket2::SockRef::from(stream)
            .peek(&mut [std::mem::MaybeUninit::uninit()])
            .is_ok_and(|count| count == 0)
    };
    streams.iter().map(|stream| peek(stream)).collect()
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
        result
    }

    fn accepted(&self, stream: &Arc<TcpStream>) -> usize {
        self.change(|state| {
            state.sweep();
            state.counts.accepted += 1;
            state.counts.open += 1;
            state.counts.open_peak = state.counts.open_peak.max(state.counts.open);
            let id = state.counts.accepted;
            state.live.insert(id, Live { stream: Arc::clone(stream), in_flight: false, gone: false });
            id
        })
    }

    fn begin(&self, connection: usize, head: String) -> SeenRequest {
        let mut words = head.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        self.change(|state| {
            state.sweep();
            state.counts.requests += 1;
            // A request whose sender has gone is abandoned already.
            if let Some(live) = state.live.get_mut(&connection).filter(|live| !live.gone) {
                live.in_flight = true;
                state.counts.in_flight += 1;
                state.counts.in_flight_peak = state.counts.in_flight_peak.max(state.counts.in_flight);
            }
            let number = state.counts.requests;
            let request = SeenRequest {
                connection,
                number,
                method,
                target,
                head,
                body: Vec::new(),
                trailers: Vec::new(),
            };
            state.log.push(request.clone());
            request
        })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.notified() => break,
        };
        let Ok((stream, _)) = accepted else { continue };
        let stream = Arc::new(stream);
        let id = shared.accepted(&stream);
        // Without it the last bytes of an answer could wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let connection = Connection { id, wire: Wire::new(stream), shared: Arc::clone(&shared) };
        connections.spawn(connection.run());
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    connections.shutdown().await;
    shared.change(|state| {
        let open: Vec<usize> = state.live.keys().copied().collect();
        for id in open {
            state.depart(id);
        }
        state.live.clear();
    });
}

struct Connection {
    id: usize,
    wire: Wire,
    shared: Arc<Shared>,
}

/// What is left to do on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    AnotherRequest,
    Close,
    Reset,
}

impl Connection {
    async fn run(mut self) {
        let on_accept = self.shared.on_accept.lock().unwrap().clone();
        let next = match on_accept {
            OnAccept::Close => Next::Close,
            OnAccept::Reset => Next::Reset,
            OnAccept::Silence => self.until_closed().await,
            OnAccept::Serve => self.serve().await,
            OnAccept::Speak(bytes) => match self.wire.send(&bytes).await {
                Ok(()) => self.serve().await,
                Err(_) => Next::Close,
            },
        };
        if next == Next::Reset {
            let _ = self.wire.stream.set_zero_linger();
        } else {
            // Unread bytes would turn the close into a reset.
            while self.wire.stream.try_read_buf(&mut self.wire.buffer).is_ok_and(|count| count > 0) {}
        }
        // Counted first: the peer may react before this task goes on.
        self.shared.change(|state| {
            state.depart(self.id);
            state.live.remove(&self.id);
        });
    }

    async fn serve(&mut self) -> Next {
        loop {
            let Ok(head) = self.wire.head().await else { return Next::Close };
            let close_asked = has_option(&head, "close");
            let request = self.shared.begin(self.id, head);
            let script = Arc::clone(&self.shared.script.lock().unwrap());
            let next = self.perform(&request, script.choose(&request)).await;
            self.shared.change(|state| state.settle(self.id));
            if next != Next::AnotherRequest || close_asked {
                return if next == Next::Reset { next } else { Next::Close };
            }
        }
    }

    async fn perform(&mut self, request: &SeenRequest, behaviour: Behaviour) -> Next {
        let mut body_read = false;
        // From here on nothing waits any more: the answer's last bytes are about to go out.
        let waits = |step: &Step| {
            matches!(step, Step::ReadBody | Step::Wait(_) | Step::Echo | Step::Silence | Step::Hold)
        };
        let last_part = behaviour.steps.iter().rposition(waits).map_or(0, |at| at + 1);
        for (at, step) in behaviour.steps.into_iter().enumerate() {
            if at == last_part && !matches!(step, Step::Trickle(..)) {
                self.shared.change(|state| state.settle(self.id));
            }
            let alive = match step {
                Step::ReadBody => {
                    body_read = true;
                    self.read_body(request).await.is_ok()
                }
                Step::Wait(gate) if body_read => {
                    tokio::select! {
                        () = gate.wait() => true,
                        () = until_closed(&mut self.wire) => false,
                    }
                }
                Step::Wait(gate) => {
                    gate.wait().await;
                    true
                }
                Step::Send(bytes) => self.wire.send(&bytes).await.is_ok(),
                Step::Trickle(bytes, gate) => {
                    let mut sent = true;
                    for (at, byte) in bytes.iter().enumerate() {
                        gate.wait().await;
                        if at + 1 == bytes.len() {
                            self.shared.change(|state| state.settle(self.id));
                        }
                        sent = sent && self.wire.send(&[*byte]).await.is_ok();
                    }
                    sent
                }
                Step::Echo => self.echo().await,
                Step::Silence => self.until_closed().await != Next::Close,
                Step::Hold => {
                    let stream = Arc::clone(&self.wire.stream);
                    settle(DEADLINE, || peer_closed(&[&*stream])[0]).await;
                    false
                }
                Step::Close => return Next::Close,
                Step::Reset => return Next::Reset,
            };
            if !alive {
                return Next::Close;
            }
        }
        Next::AnotherRequest
    }

    async fn read_body(&mut self, request: &SeenRequest) -> Result<(), ReadFailure> {
        let mut body = Vec::new();
        let framing = announced(&request.head).unwrap_or(Framing::Length(0));
        let read = self.wire.body(framing, &mut body).await;
        self.shared.change(|state| {
            let seen = &mut state.log[request.number - 1];
            seen.body = body;
            seen.trailers = read.clone().unwrap_or_default();
        });
        read.map(|_| ())
    }

    /// Always ends with the connection.
    async fn echo(&mut self) -> bool {
        loop {
            let bytes = std::mem::take(&mut self.wire.buffer);
            if self.wire.send(&bytes).await.is_err() || !matches!(self.wire.fill().await, Ok(true)) {
                return false;
            }
        }
    }

    async fn until_closed(&mut self) -> Next {
        until_closed(&mut self.wire).await;
        Next::Close
    }
}

/// Reads on, for a pipelined request perhaps, until the peer closes.
async fn until_closed(wire: &mut Wire) {
    while matches!(wire.fill().await, Ok(true)) {}
}
