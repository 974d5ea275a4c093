//! Limits against a naive model that does one thing at a time, and the arithmetic of bursts that users reckon with.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../admission/mod.rs"]
mod admission;
mod bursts;
mod examples;
mod model;
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use fuseboard_core::limit::{Admission, Dismissed, Refused, Slot, Thresholds, Waiter, WorkerId};

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn limits(connections: u32, pending: u32, requests: u32) -> Thresholds {
    Thresholds {
        max_connections: connections,
        max_pending_requests: pending,
        max_requests: requests,
        ..Thresholds::UNLIMITED
    }
}

fn poll<'a>(waiter: &mut Waiter<'a>) -> Poll<Result<Slot<'a>, Dismissed>> {
    waiter.poll_slot(&mut Context::from_waker(Waker::noop()))
}

fn refused(admission: Admission<'_>) -> Refused {
    match admission {
        Admission::Refused(refused) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

const WORKER: WorkerId = WorkerId(0);
