//! Fake upstreams, raw clients, in-process proxies, golden files: what tests share.

pub mod exposition;
