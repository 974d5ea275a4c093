//! Callers who never stop: a call each 50 ms, whatever became of the ones before; and what each of them got, from whom.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fuseboard_load::{Fetched, Observer, Options};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::cmd::demo::stage::HOST;
use crate::exit::Failure;

/// Calls in each second.
pub(super) const RATE: usize = 20;
const PATH: &str = "/get";
/// Longer than the demo: who hangs up would hide that the service hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    Service,
    Cache,
    StandIn,
    /// Anything but 200.
    Nobody,
}

/// One call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Call {
    /// Who answered, and after how long; `None`: it waits.
    pub(super) answer: Option<(Source, Duration)>,
}

/// The callers. They stop when dropped.
pub(super) struct Traffic {
    calls: Arc<Mutex<Vec<Call>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Traffic {
    pub(super) fn start(proxy: SocketAddr) -> Result<Self, Failure> {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let log = Arc::clone(&calls);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("callers".into()).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, async {
                tokio::select! {
                    () = call_on(proxy, &log) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { calls, stop: Some(stop), thread: Some(thread) })
    }

    /// The calls of these numbers, as far as they were made.
    pub(super) fn calls(&self, numbers: Range<usize>) -> Vec<Call> {
        let calls = lock(&self.calls);
        let end = numbers.end.min(calls.len());
        calls[numbers.start.min(end)..end].to_vec()
    }

    /// How many were made.
    pub(super) fn made(&self) -> usize {
        lock(&self.calls).len()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn call_on(proxy: SocketAddr, log: &Arc<Mutex<Vec<Call>>>) {
    let mut options = Options::to(format!("http://{proxy}{PATH}"));
    options.http.headers.push(("Host".to_owned(), HOST.to_owned()));
    options.http.timeout = PATIENCE;
    let options = Arc::new(options);
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(RATE).unwrap_or(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        let (log, options) = (Arc::clone(log), Arc::clone(&options));
        let number = {
            let mut calls = lock(&log);
            calls.push(Call::default());
            calls.len() - 1
        };
        tokio::task::spawn_local(async move {
            let sent = Instant::now();
            let fetched = fuseboard_load::curl(&options, &Observer::silent()).await;
            let source = fetched.map_or(Source::Nobody, |fetched| source(&fetched));
            lock(&log)[number].answer = Some((source, sent.elapsed()));
        });
    }
}

fn source(fetched: &Fetched) -> Source {
    let head = String::from_utf8_lossy(&fetched.head).to_ascii_lowercase();
    let fallback = head.lines().find_map(|line| line.strip_prefix("x-fuseboard-fallback:"));
    match fallback.map(str::trim) {
        _ if fetched.code != 200 => Source::Nobody,
        None => Source::Service,
        Some(step) if step.starts_with("cached") => Source::Cache,
        Some(_) => Source::StandIn,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_who_gave_it() {
        let answer = |code, head: &str| {
            source(&Fetched { code, head: head.as_bytes().to_vec(), ..Fetched::default() })
        };
        assert_eq!(answer(200, "HTTP/1.1 200 OK\r\nDate: x\r\n\r\n"), Source::Service);
        let cached = "HTTP/1.1 200 OK\r\nX-Fuseboard-Fallback: cached; age=2; cause=breaker.open\r\n\r\n";
        assert_eq!((answer(200, cached), answer(503, cached)), (Source::Cache, Source::Nobody));
        assert_eq!(answer(200, "HTTP/1.1 200 OK\r\nx-fuseboard-fallback: service\r\n\r\n"), Source::StandIn);
    }
}
