//! Makes one worker of a proxy stand still for a while. The proxy needs no hook for this: a worker that opens a connection says so in the log,
//! and a log that takes its time keeps the worker waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// How long a worker stands still.
const FOR: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Inside {
    armed: AtomicBool,
    stalls: AtomicU32,
}

/// Stops workers, one each time it is asked to.
#[derive(Clone, Default)]
pub(super) struct Stall(Arc<Inside>);

impl Stall {
    /// Takes the place of this process's log, for good.
    pub(super) fn install() -> anyhow::Result<Self> {
        let stall = Self::default();
        tracing::subscriber::set_global_default(stall.clone())?;
        Ok(stall)
    }

    /// The next worker that opens a connection stops for half a second.
    pub(super) fn arm(&self) {
        self.0.armed.store(true, Ordering::Relaxed);
    }

    /// How many have stopped.
    pub(super) fn stalls(&self) -> u32 {
        self.0.stalls.load(Ordering::Relaxed)
    }
}

impl Subscriber for Stall {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let of_workers = metadata.target() == "pool" && *metadata.level() == Level::DEBUG;
        if of_workers { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.0.armed.load(Ordering::Relaxed)
    }

    fn event(&self, _: &Event<'_>) {
        let is_worker = std::thread::current().name().is_some_and(|name| name.starts_with("worker-"));
        if is_worker && self.0.armed.swap(false, Ordering::Relaxed) {
            self.0.stalls.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(FOR);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
