//! The data plane through real sockets: a proxy in this process, scripted upstreams and raw clients, port 0, deadlines in place of sleeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod access_log;
mod bad_luck;
mod bodies;
mod breaker;
mod by_hand;
mod by_hand_endpoint;
mod differences;
mod drain;
mod endpoint_breakers;
mod events;
mod failures;
mod fallback;
mod fallback_cache;
mod flags;
mod http1;
mod http2_clients;
mod istio_metrics;
mod limits;
mod messages;
mod not_processed;
mod outlier_classifier;
mod outlier_rates;
mod own_answers;
mod pains;
mod proxy_header;
mod refusals_page;
mod reload;
mod retries;
mod rig;
mod slowness;
mod tcp;
mod tls_downstream;
mod tls_failures;
mod tls_upstream;
mod upgrades;
