//! Being told to stop, by SIGTERM or Ctrl-C.

use std::io;
use std::thread;

use fuseboard_load::Cancel;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask for an end. From the moment this exists they no longer end the process by themselves, and none
/// that arrives between two calls of [`StopSignals::next`] is lost.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes the signals over; within a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns at the next SIGTERM or Ctrl-C.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A handle that is cancelled at the first SIGTERM or Ctrl-C, for work that has no runtime of its own.
pub(crate) fn cancelled_when_stopped() -> io::Result<Cancel> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { StopSignals::listen() })?;
    let cancel = Cancel::new();
    let told = cancel.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(signals.next());
        told.cancel();
    })?;
    Ok(cancel)
}
