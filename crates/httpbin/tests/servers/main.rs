//! Bodies and headers over real sockets. What the real go-httpbin and fortio answer is compared by `cargo xtask interop`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod auth;
mod client;
mod conditional;
mod content;
mod control;
mod fortio;
mod grpc;
mod http;
mod http2;
mod moved;
mod python;
mod shown;
mod streams;
mod tls;
mod trouble;
mod websocket;
