//! Certificates, whom to trust, and TLS as bytes in and bytes out.
//!
//! [`material`] turns PEM into values that cannot be wrong (a certificate with its key, authorities); [`policy`] says what a
//! side asks for, as data; [`client`] and [`server`] make of it what connections are begun with; a [`Session`] is one
//! connection's state, which reads and writes through what it is given. No sockets, no files, no waiting.
//!
//! rustls does the protocol, with *ring* for the arithmetic: it builds with Rust and a C compiler alone, for musl too.

pub mod client;
pub mod failure;
pub mod forwarded;
pub mod material;
pub mod policy;
pub mod server;
mod session;
mod trust;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::ClientContext;
pub use failure::{Failure, FailureKind};
pub use material::{Authorities, Certificate, Credential, MaterialError, Revocations};
pub use policy::{ClientPolicy, Names, ServerPolicy, TlsVersion};
pub use rustls::Error as ProtocolError;
pub use rustls::{CipherSuite, NamedGroup, ProtocolVersion};
pub use server::ServerContext;
pub use session::{Peer, Session};

/// HTTP/1.1 in ALPN.
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// HTTP/2 in ALPN.
pub const HTTP_2: &[u8] = b"h2";

/// The arithmetic.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}
