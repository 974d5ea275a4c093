//! An HTTP server behind the proxy under test: holds answers until it is told to give them, and counts what it sees.
//!
//! It speaks HTTP/1.1, and HTTP/2 to who begins with its preface. It answers requests without a body, with the request's target as the body, so that a caller can tell its answer from another's.
//! The header `x-host` says which of its addresses was asked, from 0. A target that contains `status=503` is answered so. What else it does wrong
//! is `faults`' to say.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fuseboard_core::Rng;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::faults::{End, Faults, Treatment};
use crate::ledger::{Connection, Count, Ledger, OpenConnection, Run};
use crate::streams;

/// Which try of the proxy a request is.
pub(crate) const ATTEMPT: &str = "x-envoy-attempt-count";

/// Until an origin that could not accept or listen tries again.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// How an origin behaves.
#[derive(Clone, Copy, Debug)]
pub struct OriginOptions {
    /// Addresses to listen on; all share one count.
    pub hosts: usize,
    /// Of them all; their ports differ.
    pub ip: Ipv4Addr,
    /// Answers take a random time below this.
    pub delay_below: Duration,
    /// Seed of the random times.
    pub seed: u64,
    /// Streams that a connection of HTTP/2 may have at a time; none: any number.
    pub streams: Option<NonZeroU32>,
    /// What it does wrong.
    pub faults: Faults,
}

impl Default for OriginOptions {
    fn default() -> Self {
        Self {
            hosts: 1,
            ip: Ipv4Addr::LOCALHOST,
            delay_below: Duration::ZERO,
            seed: 0,
            streams: None,
            faults: Faults::default(),
        }
    }
}

/// A running origin; it ends when dropped.
pub struct Origin {
    addresses: Vec<SocketAddr>,
    inside: Arc<Inside>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) struct Inside {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) options: OriginOptions,
    open: watch::Sender<bool>,
    passes: Semaphore,
    /// Of each host, whether it is there.
    alive: Vec<watch::Sender<bool>>,
}

impl Origin {
    /// Listens on loopback addresses with ports of the system's choice; the gate is open.
    pub fn start(options: OriginOptions) -> io::Result<Self> {
        let listeners: Vec<StdListener> =
            (0..options.hosts).map(|_| StdListener::bind((options.ip, 0))).collect::<io::Result<_>>()?;
        let addresses = listeners.iter().map(StdListener::local_addr).collect::<io::Result<_>>()?;
        let inside = Arc::new(Inside {
            ledger: Arc::default(),
            options,
            open: watch::Sender::new(true),
            passes: Semaphore::new(0),
            alive: (0..options.hosts).map(|_| watch::Sender::new(true)).collect(),
        });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let serving = Arc::clone(&inside);
        let thread = std::thread::Builder::new().name("origin".to_owned()).spawn(move || {
            runtime.block_on(async move {
                for (host, listener) in listeners.into_iter().enumerate() {
                    tokio::spawn(come_and_go(listener, host, Arc::clone(&serving)));
                }
                // Either way the owner is gone.
                drop(ended.await);
            });
        })?;
        Ok(Self { addresses, inside, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens, one address per host.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// From now on requests are held.
    pub fn hold(&self) {
        self.inside.open.send_replace(false);
    }

    /// Answers one held request, or the next one that comes.
    pub fn pass_one(&self) {
        self.inside.passes.add_permits(1);
    }

    /// Answers all held requests, and from now on each at once.
    pub fn open(&self) {
        self.inside.open.send_replace(true);
    }

    /// The host is gone: it refuses connections, and those that it had are reset.
    pub fn kill(&self, host: usize) {
        self.inside.alive[host].send_replace(false);
    }

    /// The host is back at its address.
    pub fn revive(&self, host: usize) {
        self.inside.alive[host].send_replace(true);
    }

    /// From now on each run of a request is noted down, until it is taken.
    pub fn note_runs(&self) {
        self.inside.ledger.note_runs();
    }

    /// The runs of the request with this target, which are forgotten.
    pub fn take_runs(&self, target: &str) -> Vec<Run> {
        self.inside.ledger.take_runs(target)
    }

    /// All runs that nobody has taken, by target.
    pub fn take_all_runs(&self) -> HashMap<String, Vec<Run>> {
        self.inside.ledger.take_all_runs()
    }

    /// What was counted so far.
    pub fn count(&self) -> Count {
        self.inside.ledger.count()
    }

    /// Starts peaks anew from what is open now. `bound`: the number of connections that must not be exceeded, `None` if there
    /// is no such number.
    pub fn forget_peaks(&self, bound: Option<u32>) {
        self.inside.ledger.forget_peaks(bound);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of its thread was reported when it happened.
            drop(thread.join());
        }
    }
}

/// A host that listens while it is alive.
async fn come_and_go(listener: StdListener, host: usize, inside: Arc<Inside>) -> io::Result<()> {
    let address = listener.local_addr()?;
    let mut rng = Rng::new(inside.options.seed ^ host as u64);
    let mut alive = inside.alive[host].subscribe();
    let mut listener = Some(listener);
    loop {
        match listener.take().map_or_else(|| StdListener::bind(address), Ok) {
            Ok(listener) => tokio::select! {
                ended = accept(listener, host, &inside, &mut rng) => ended?,
                _ = alive.wait_for(|alive| !alive) => {}
            },
            Err(_) => tokio::time::sleep(TRY_AGAIN).await,
        }
        if alive.wait_for(|alive| *alive).await.is_err() {
            return Ok(());
        }
    }
}

async fn accept(listener: StdListener, host: usize, inside: &Arc<Inside>, rng: &mut Rng) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let local = listener.local_addr()?;
    loop {
        // Without descriptors it has to wait for some.
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(TRY_AGAIN).await;
            continue;
        };
        // It closes after its client has; a RST then spares the client's port the TIME-WAIT.
        if stream
            .set_nodelay(true)
            .and_then(|()| SockRef::from(&stream).set_linger(Some(Duration::ZERO)))
            .is_err()
        {
            continue;
        }
        let stream = Arc::new(stream);
        let turned_away = inside.options.faults.turn_away(rng);
        let open = inside.ledger.opened(Connection { stream: Arc::clone(&stream), peer, local });
        if turned_away {
            continue;
        }
        let (inside, rng) = (Arc::clone(inside), Rng::new(rng.next_u64()));
        tokio::spawn(async move {
            let mut alive = inside.alive[host].subscribe();
            // A client that goes away ends only its own connection.
            tokio::select! {
                _ = serve(stream, &open, host, Arc::clone(&inside), rng) => {}
                _ = alive.wait_for(|alive| !alive) => {}
            }
        });
    }
}

/// HTTP/2 begins with `PRI`, which no method of HTTP/1.1 does.
async fn serve(
    stream: Arc<TcpStream>,
    open: &OpenConnection,
    host: usize,
    inside: Arc<Inside>,
    rng: Rng,
) -> io::Result<()> {
    let mut first = [0; 2];
    while stream.peek(&mut first).await? == 1 {
        tokio::task::yield_now().await;
    }
    if first == *b"PR" {
        return streams::serve(stream, open, host, inside, rng).await;
    }
    Exchanges { stream, open, host, inside, rng, buffer: Vec::new() }.serve().await
}

/// The requests of one connection, one after the other.
struct Exchanges<'c> {
    stream: Arc<TcpStream>,
    open: &'c OpenConnection,
    host: usize,
    inside: Arc<Inside>,
    rng: Rng,
    buffer: Vec<u8>,
}

impl Exchanges<'_> {
    async fn serve(&mut self) -> io::Result<()> {
        loop {
            let (target, attempt) = self.read_head().await?;
            let request = self.inside.ledger.begin(self.open, &target, attempt);
            let treatment = self.inside.options.faults.draw(&mut self.rng);
            let inside = Arc::clone(&self.inside);
            let pause = inside.pause(&mut self.rng);
            tokio::select! {
                () = inside.released() => {}
                gone = self.gone() => return Err(gone),
            }
            pause.pass().await;
            let answer = answer(self.host, &target);
            match treatment {
                Treatment::Answer => {
                    request.answered();
                    self.write(&answer).await?;
                }
                Treatment::EndBefore(end) => {
                    drop(request);
                    return self.end(end);
                }
                Treatment::EndWithin(end) => {
                    request.answered();
                    self.write(&answer[..answer.len() - target.len() / 2]).await?;
                    return self.end(end);
                }
                Treatment::EndAfter(end) => {
                    request.answered();
                    self.write(&answer).await?;
                    return self.end(end);
                }
                Treatment::Silence => return Err(self.gone().await),
            }
        }
    }

    /// How the connection is closed when its last owner lets go.
    fn end(&self, end: End) -> io::Result<()> {
        match end {
            End::Reset => Ok(()),
            End::Close => SockRef::from(&*self.stream).set_linger(None),
        }
    }

    /// The target of the next request, and which try it is.
    async fn read_head(&mut self) -> io::Result<(String, u32)> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                let head = String::from_utf8_lossy(&head);
                let target = head.split(' ').nth(1).ok_or(io::ErrorKind::InvalidData)?;
                let attempt = head.lines().find_map(|line| line.strip_prefix(ATTEMPT)?.strip_prefix(": "));
                let attempt = attempt.and_then(|attempt| attempt.parse().ok()).unwrap_or_default();
                return Ok((target.to_owned(), attempt));
            }
            self.read_more().await?;
        }
    }

    /// Reads at least one byte; the end of the connection is an error.
    async fn read_more(&mut self) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Waits for the client to go away. What it sends meanwhile is kept.
    async fn gone(&mut self) -> io::Error {
        loop {
            if let Err(error) = self.read_more().await {
                return error;
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How long an answer takes once it may be given.
pub(crate) struct Pause(Option<Duration>);

impl Pause {
    pub(crate) async fn pass(self) {
        match self.0 {
            Some(pause) => tokio::time::sleep(pause).await,
            // Other requests that have come are seen before this one is answered.
            None => tokio::task::yield_now().await,
        }
    }
}

impl Inside {
    pub(crate) fn pause(&self, rng: &mut Rng) -> Pause {
        let below = u32::try_from(self.options.delay_below.as_micros()).unwrap_or(u32::MAX);
        Pause((below > 0).then(|| Duration::from_micros(u64::from(rng.below(below)))))
    }

    /// Waits until the gate is open, or for a pass.
    pub(crate) async fn released(&self) {
        let mut open = self.open.subscribe();
        tokio::select! {
            biased;
            _ = open.wait_for(|open| *open) => {}
            pass = self.passes.acquire() => {
                if let Ok(pass) = pass {
                    pass.forget();
                }
            }
        }
    }
}

fn answer(host: usize, target: &str) -> Vec<u8> {
    let status = if target.contains("status=503") { "503 Service Unavailable" } else { "200 OK" };
    let length = target.len();
    format!("HTTP/1.1 {status}\r\nx-host: {host}\r\ncontent-length: {length}\r\n\r\n{target}").into_bytes()
}
