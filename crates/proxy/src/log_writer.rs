//! The threads that write logs, and what they write to.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::StartError;
use crate::options::LogSink;

/// How long the end of a proxy waits for a log to be written.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// A thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
    /// Disconnected when the thread ends. The mutex, which nobody else takes, lets threads share the proxy's handle.
    alive: Mutex<Receiver<()>>,
}

impl Writer {
    /// Starts the thread, which does `write` and ends.
    pub(crate) fn start(
        name: &'static str,
        write: impl FnOnce() + Send + 'static,
    ) -> Result<Self, StartError> {
        let (living, alive) = sync_channel(0);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _living = living;
                write();
            })
            .map_err(|source| StartError::Thread { what: name.to_owned(), source })?;
        Ok(Self { thread, alive: Mutex::new(alive) })
    }

    /// Waits for its end, but no longer than this: a pipe that nobody reads holds it for ever.
    pub(crate) fn join(self, patience: Duration) {
        let alive = self.alive.into_inner().unwrap_or_else(PoisonError::into_inner);
        if alive.recv_timeout(patience) != Err(RecvTimeoutError::Timeout) {
            drop(self.thread.join());
        }
    }
}

impl LogSink {
    /// Opens it for appending; `what` is the log's name in errors.
    pub(crate) fn open(&self, what: &'static str) -> Result<Box<dyn Write + Send>, StartError> {
        Ok(match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Stderr => Box::new(io::stderr()),
            Self::File(path) => Box::new(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .map_err(|source| StartError::Log { what, path: path.clone(), source })?,
            ),
        })
    }
}
