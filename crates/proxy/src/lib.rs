//! The data plane: workers, listeners, HTTP/1.1, pools, the admin server.

pub mod admin;
pub mod stats;
