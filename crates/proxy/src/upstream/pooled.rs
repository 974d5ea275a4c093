//! What a cluster's pool keeps: connections that one request has for itself, and those that are shared.

use std::sync::Arc;

use fuseboard_core::Instant;
use fuseboard_snapshot::ConnectionPolicy;

use super::connection::{ClosedBy, UpstreamConnection};
use super::shared::SharedConnection;
use crate::live::{ClusterView, Host};
use crate::stats::ClusterStats;
use crate::stream::Spent;

/// An idle connection.
#[derive(Debug)]
pub(crate) enum Pooled {
    /// For one request at a time.
    Own(Box<UpstreamConnection>),
    /// For many.
    Shared(SharedConnection),
}

impl Pooled {
    pub(super) fn host(&self) -> &Arc<Host> {
        match self {
            Self::Own(connection) => &connection.host,
            Self::Shared(connection) => connection.host(),
        }
    }

    /// Whether it is secured as its cluster is to be now.
    pub(super) fn is_secured_for(&self, view: &ClusterView) -> bool {
        match self {
            Self::Own(connection) => connection.is_secured_with(view.tls.own.as_ref()),
            Self::Shared(connection) => connection.is_secured_with(view.tls.shared.as_ref()),
        }
    }

    pub(super) fn is_aged(&self, policy: &ConnectionPolicy, now: Instant) -> bool {
        match self {
            Self::Own(connection) => connection.is_aged(policy, now),
            Self::Shared(connection) => connection.is_aged(policy, now),
        }
    }

    /// Whether the host has closed it, or said something unasked. Of a shared one its driver knows, and takes it out by itself.
    pub(super) fn spent(&mut self) -> Option<Spent> {
        match self {
            Self::Own(connection) => connection.spent(),
            Self::Shared(_) => None,
        }
    }

    /// Closes it and counts that; of a shared one its driver does both, once nobody has a way to it any more.
    pub(crate) fn close(self, stats: &ClusterStats, by: ClosedBy, now: Instant) {
        match self {
            Self::Own(connection) => connection.close(stats, by, false, now),
            Self::Shared(connection) => drop(connection),
        }
    }
}
