//! Counters, gauges and histograms declared once, sharded per worker, named as Envoy names them.
//!
//! A scope is declared with [`stats!`]: field names are stat names, doc comments are help. Each worker writes its own block
//! with plain relaxed stores ([`Sharded`]); a reader on any thread sums the blocks into a [`Reading`], from which the
//! admin crate makes text, JSON and Prometheus. Nothing here knows HTTP, and nothing here decides what is counted.

mod baseline;
mod block;
mod cell;
mod codes;
mod distribution;
mod histogram;
mod keyed;
mod name;
mod reading;
mod scope;
mod sharded;

pub use baseline::Baseline;
#[doc(hidden)]
pub use block::macro_support;
pub use block::{Block, CellRef, Desc, Kind};
pub use cell::{Counter, Gauge, Level};
pub use codes::Codes;
pub use distribution::Distribution;
pub use histogram::{Buckets, Histogram, PROMETHEUS_BOUNDS, QUANTILES};
pub use keyed::{KEYS, Keyed};
pub use name::{CodeOrigin, StatName, TagDesc};
pub use reading::{Reading, Row, RowId, ScopeId, Value};
pub use scope::{Label, Scope};
pub use sharded::Sharded;
