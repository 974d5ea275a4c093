//! A gate that tests open: what a fake upstream waits at instead of sleeping.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Shut at first. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    passes: Semaphore,
    waiting: AtomicUsize,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that lets nobody through.
    pub fn new() -> Self {
        Self(Arc::new(Inner { passes: Semaphore::new(0), waiting: AtomicUsize::new(0) }))
    }

    /// Lets so many through, now or when they come.
    pub fn pass(&self, count: usize) {
        self.0.passes.add_permits(count);
    }

    /// Lets everybody through from now on.
    pub fn open(&self) {
        self.0.passes.close();
    }

    /// How many wait at the gate.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::SeqCst)
    }

    /// Waits to be let through. Dropping the future leaves.
    pub async fn wait(&self) {
        let _here = Waiting::arrive(&self.0.waiting);
        // An error means that the gate stands open.
        if let Ok(pass) = self.0.passes.acquire().await {
            pass.forget();
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn arrive(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
