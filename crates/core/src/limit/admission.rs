//! The answers to a request that wants in, and what they say of the limit that decided.

use super::permit::{Slot, Waiter};
use super::turnstile::{Crowd, Rule};
use super::{Thresholds, UNLIMITED};
use crate::refusal::RefusalReason;

/// The answer to an HTTP/1.1 request.
#[derive(Debug)]
#[must_use = "dropping it gives the slot or the place in the queue back"]
pub enum Admission<'a> {
    /// It may run now.
    Admitted(Slot<'a>),
    /// It has a place in the queue.
    Queued(Waiter<'a>),
    /// It is to be answered 503 at once.
    Refused(Refused),
}

/// Which limit refused, and by what numbers, all of the moment of the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The limit.
    pub reason: RefusalReason,
    /// Its bound.
    pub bound: u32,
    /// The count that had reached it.
    pub value: u32,
    /// How many were waiting.
    pub waiting: u32,
    /// Whether the connection limit was reached too. Each such refusal, like each such waiter, is one
    /// `upstream_cx_overflow` (difference D17).
    pub connections_full: bool,
}

/// What a waiter for a slot is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotGrant {
    Slot,
    Dismissed,
}

impl Rule for Thresholds {
    type Grant = SlotGrant;
    const TURN: SlotGrant = SlotGrant::Slot;

    /// An HTTP/1.1 slot is a connection and a request, so the smaller bound counts.
    fn capacity(&self) -> u32 {
        self.max_connections.min(self.max_requests)
    }

    /// The connection limit makes requests wait, the request limit refuses them. Behind others that wait already (since
    /// before the limits changed) one waits whatever they wait for.
    fn may_wait(&self, waiters: u32) -> bool {
        waiters < self.max_pending_requests && (waiters > 0 || self.max_connections <= self.max_requests)
    }
}

impl Crowd<Thresholds> {
    pub(super) const fn connections_full(&self) -> bool {
        self.inside >= self.rule.max_connections
    }

    /// Why one that might have waited was refused.
    pub(super) fn refusal(&self) -> Refused {
        if self.waiters > 0 || self.rule.max_connections <= self.rule.max_requests {
            self.refused(RefusalReason::LimitQueueFull, self.rule.max_pending_requests, self.waiters)
        } else {
            self.refused(RefusalReason::LimitRequests, self.rule.max_requests, self.inside)
        }
    }

    /// Why one that never waits was refused.
    pub(super) fn refusal_at_once(&self) -> Refused {
        if self.rule.max_connections <= self.rule.max_requests {
            self.refused(RefusalReason::LimitConnections, self.rule.max_connections, self.inside)
        } else {
            self.refused(RefusalReason::LimitRequests, self.rule.max_requests, self.inside)
        }
    }

    /// Why a TCP connection was refused.
    pub(super) const fn refusal_of_connection(&self) -> Refused {
        self.refused(RefusalReason::LimitConnections, self.rule.max_connections, self.inside)
    }

    const fn refused(&self, reason: RefusalReason, bound: u32, value: u32) -> Refused {
        Refused { reason, bound, value, waiting: self.waiters, connections_full: self.connections_full() }
    }
}

/// `maxConnections` as the rule of open connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxConnections(pub(super) u32);

/// What a request that holds a slot and waits for a connection is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CxGrant {
    /// The right to open one.
    Permit,
    /// An idle one, set aside by the pool.
    Idle,
}

impl Rule for MaxConnections {
    type Grant = CxGrant;
    const TURN: CxGrant = CxGrant::Permit;

    fn capacity(&self) -> u32 {
        self.0
    }

    /// Bounded by the slots: nobody asks for a connection without one.
    fn may_wait(&self, waiters: u32) -> bool {
        waiters < UNLIMITED
    }
}

/// `maxRetries` as the rule of retries in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxRetries(pub(super) u32);

impl Rule for MaxRetries {
    type Grant = ();
    const TURN: () = ();

    fn capacity(&self) -> u32 {
        self.0
    }

    fn may_wait(&self, _waiters: u32) -> bool {
        false
    }
}

impl Crowd<MaxRetries> {
    pub(super) const fn refusal(&self) -> Refused {
        Refused {
            reason: RefusalReason::LimitRetries,
            bound: self.rule.0,
            value: self.inside,
            waiting: 0,
            connections_full: false,
        }
    }
}
