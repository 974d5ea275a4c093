//! What the proxy counts: one file per scope, each declared once with [`fuseboard_stats::stats!`].
//!
//! Counting is the worker's: it writes its own block of a scope. Reading is the admin thread's: [`collect`] sums the blocks
//! and computes, at that moment, the gauges that follow from the limits and hosts themselves.

mod cluster;
mod collect;
mod fallback;
mod host;
mod levels;
mod listener;
mod memory;
mod refused;
mod requests;
mod server;
mod ssl;
mod tcp;

pub use cluster::{BreakerStats, ClusterBlock, ClusterStats, OutlierStats, OwnClusterStats};
pub use collect::{Observation, collect, declared};
pub use fallback::{FallbackBlock, FallbackStats, FallbackStepStats};
pub use host::HostStats;
pub use listener::{HttpStats, ListenerBlock, ListenerStats, OwnListenerStats};
pub(crate) use memory::memory;
pub use refused::{REFUSED, Refused};
pub(crate) use requests::flags_text;
pub use requests::{Ending, MessageSeries, MessageStats, RequestSeries, RequestStats};
pub(crate) use tcp::OPEN;
pub use tcp::{TcpConnectionStats, TcpSeries, TcpStats};
