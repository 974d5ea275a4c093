//! Envoy's admin API as data: wire types, text, JSON and Prometheus renderers, a small client.
//!
//! The proxy fills [`status`] and a [`fuseboard_stats::Reading`]; the modules named after endpoints turn them into the text
//! that Envoy would print. Nothing here listens on a socket; the proxy serves the [`Page`]s.

pub mod breakers;
pub mod certs;
pub mod client;
pub mod clusters;
pub mod config_dump;
pub mod ejections;
pub mod endpoint;
pub mod events;
pub mod explain;
pub mod follow;
mod happening;
mod histogram;
pub mod home;
pub mod hosts;
pub mod instance;
pub mod listeners;
pub mod logging;
mod mask;
pub mod memory;
pub mod orders;
pub mod outlier_log;
mod page;
pub mod prometheus;
pub mod proxy_config;
mod query;
pub mod refusals;
pub mod server_info;
pub mod stats;
pub mod status;
mod wanted;
pub mod without;

pub use client::{AdminAddress, AdminClient, ClientError};
pub use endpoint::Endpoint;
pub use page::Page;
pub use query::Query;
pub use wanted::Wanted;
