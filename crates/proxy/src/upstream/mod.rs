//! Connections to hosts: opening them, judging whether a pooled one is still good, and closing the ones that aged.
//! Which host and whether at all is decided before; what is sent on them is the exchange's.

mod connect;
mod connection;
mod line;
mod pooled;
pub(crate) mod reaper;
mod shared;

pub(crate) use connect::{ConnectError, count_not_connected, open};
pub(crate) use connection::{ClosedBy, Secured, UpstreamConnection, count_spent, millis};
pub(crate) use line::{HostStream, Line, StreamLease};
pub(crate) use pooled::Pooled;
pub(crate) use shared::{OpenError, Opening, SharedConnection, open_shared};
