//! The answers to a request that wants in, and what they say of the limit that decided.

use super::permit::{Slot, Waiter};
use super::turnstile::{Crowd, Rule};
use super::word::MAX_WAITERS;
use super::{Kind, Thresholds, UNLIMITED};
use crate::pool::HostKey;
use crate::refusal::RefusalReason;

/// The answer to a request.
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

/// The bounds of slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    pub(super) thresholds: Thresholds,
    /// S: streams on one connection.
    pub(super) streams: u32,
    /// Streams that the open connections together offer less than S each.
    pub(super) missing: u64,
}

impl Slots {
    /// N * S, less what is missing. Not less than 0, not more than no limit.
    fn streams(&self) -> u32 {
        let connections = self.thresholds.max_connections;
        if connections == UNLIMITED {
            return UNLIMITED;
        }
        let all = u64::from(connections) * u64::from(self.streams);
        u32::try_from(all.saturating_sub(self.missing)).unwrap_or(UNLIMITED)
    }
}

impl Rule for Slots {
    type Grant = SlotGrant;
    const TURN: SlotGrant = SlotGrant::Slot;
    type Want = Kind;

    fn kind(want: &Kind) -> Kind {
        *want
    }

    fn bound(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Connection => self.thresholds.max_connections,
            Kind::Stream => self.streams(),
        }
    }

    /// Each slot is a request, so together they are bounded by these.
    fn total(&self) -> u32 {
        self.thresholds.max_requests
    }

    /// The connection limit makes requests wait, the request limit refuses them. Behind others that wait already (since
    /// before the limits changed) one waits whatever they wait for.
    fn may_wait(crowd: &Crowd<Self>) -> bool {
        crowd.waiters < crowd.rule.thresholds.max_pending_requests.min(MAX_WAITERS)
            && (crowd.own_waiters > 0 || crowd.connections_bind())
    }
}

impl Crowd<Slots> {
    const fn thresholds(&self) -> &Thresholds {
        &self.rule.thresholds
    }

    /// Connections are what there is too little of for this kind, not requests.
    fn connections_bind(&self) -> bool {
        self.rule.bound(self.kind) <= self.rule.total()
    }

    /// As many of this kind run as the connections allow.
    pub(super) fn connections_full(&self) -> bool {
        self.own >= self.rule.bound(self.kind)
    }

    /// Why one that might have waited was refused.
    pub(super) fn refusal(&self) -> Refused {
        if self.own_waiters > 0 || self.connections_bind() {
            self.refused(RefusalReason::LimitQueueFull, self.thresholds().max_pending_requests, self.waiters)
        } else {
            self.refused(RefusalReason::LimitRequests, self.rule.total(), self.inside)
        }
    }

    /// Why one that never waits was refused.
    pub(super) fn refusal_at_once(&self) -> Refused {
        let by_requests = self.inside >= self.rule.total() && !self.connections_full();
        if self.connections_bind() && !by_requests {
            self.refused(RefusalReason::LimitConnections, self.rule.bound(self.kind), self.own)
        } else {
            self.refused(RefusalReason::LimitRequests, self.rule.total(), self.inside)
        }
    }

    /// Why a TCP connection was refused.
    pub(super) fn refusal_of_connection(&self) -> Refused {
        self.refused(RefusalReason::LimitConnections, self.thresholds().max_connections, self.own)
    }

    fn refused(&self, reason: RefusalReason, bound: u32, value: u32) -> Refused {
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
    /// A stream on a shared one, counted for the waiter already.
    Room(Room),
}

/// One stream on a shared connection, as the pool finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// The shelf it lies on.
    pub(crate) shelf: usize,
    /// Its place there.
    pub(crate) place: usize,
    /// Of those on this connection.
    pub(crate) lease: u64,
}

/// What a request that waits for a connection can use.
#[derive(Clone, Debug)]
pub(crate) struct CxWant {
    pub(crate) kind: Kind,
    pub(crate) host: HostKey,
    /// The other hosts on whose shared connections it may go.
    pub(crate) elsewhere: Vec<HostKey>,
    /// How many shared connections had been begun when it looked where it may go.
    pub(crate) begun: u32,
}

impl CxWant {
    /// Whether a stream on a shared connection to `host` serves it.
    pub(crate) fn shares(&self, host: HostKey) -> bool {
        self.kind == Kind::Stream && (self.host == host || self.elsewhere.contains(&host))
    }

    /// Whether it can surely not use a shared connection to `host` that was the `nth` to be begun; it may not have looked yet.
    pub(crate) fn shuns(&self, host: HostKey, nth: u32) -> bool {
        let looked = self.begun.wrapping_sub(nth).cast_signed() >= 0;
        !self.shares(host) && (looked || self.kind == Kind::Connection)
    }
}

impl Rule for MaxConnections {
    type Grant = CxGrant;
    const TURN: CxGrant = CxGrant::Permit;
    type Want = CxWant;

    fn bound(&self, _kind: Kind) -> u32 {
        self.0
    }

    fn total(&self) -> u32 {
        self.0
    }

    /// Bounded by the slots: nobody asks for a connection without one.
    fn may_wait(crowd: &Crowd<Self>) -> bool {
        crowd.waiters < MAX_WAITERS
    }
}

/// `maxRetries` as the rule of retries in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxRetries(pub(super) u32);

impl Rule for MaxRetries {
    type Grant = ();
    const TURN: () = ();
    type Want = ();

    fn bound(&self, _kind: Kind) -> u32 {
        self.0
    }

    fn total(&self) -> u32 {
        self.0
    }

    fn may_wait(_crowd: &Crowd<Self>) -> bool {
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
