//! One worker's ways into the breakers of a cluster's endpoints, each made when the worker first sends something there: most
//! workers of a large mesh never meet most of its endpoints.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{LiveBreaker, WorkerBreaker};

/// In the order of the cluster's hosts.
#[derive(Debug)]
pub(crate) struct WorkerEndpoints(Box<[OnceCell<Rc<WorkerBreaker>>]>);

impl WorkerEndpoints {
    /// Ways into `live`; those that were made `before` are kept. `None`: endpoints have no breakers of their own.
    pub(crate) fn of(live: &[Arc<LiveBreaker>], before: Option<&Self>) -> Option<Box<Self>> {
        if live.is_empty() {
            return None;
        }
        let mut made: HashMap<*const LiveBreaker, &Rc<WorkerBreaker>> = before
            .map(|before| before.made().map(|breaker| (Arc::as_ptr(&breaker.live), breaker)).collect())
            .unwrap_or_default();
        let cell = |live: &Arc<LiveBreaker>| {
            made.remove(&Arc::as_ptr(live)).map_or_else(OnceCell::new, |breaker| Rc::clone(breaker).into())
        };
        Some(Box::new(Self(live.iter().map(cell).collect())))
    }

    /// The way into the breaker of the host at `index`, one of `live`.
    pub(crate) fn get(&self, live: &[Arc<LiveBreaker>], index: usize) -> Option<&Rc<WorkerBreaker>> {
        let (cell, live) = (self.0.get(index)?, live.get(index)?);
        Some(cell.get_or_init(|| WorkerBreaker::of(live, None)))
    }

    /// Those that were made.
    pub(crate) fn made(&self) -> impl Iterator<Item = &Rc<WorkerBreaker>> {
        self.0.iter().filter_map(OnceCell::get)
    }
}
