//! Envoy's admin API as data: wire types, text, JSON and Prometheus renderers, a small client.
//!
//! The proxy fills [`status`] and a [`fuseboard_stats::Reading`]; the modules named after endpoints turn them into what
//! Envoy would print. Nothing here listens on a socket.

pub mod status;
