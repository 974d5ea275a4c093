//! What a client's connection brings before its protocol begins: a PROXY header, then TLS. Both have a bound of time, and
//! nothing that comes behind them is lost. What a failure means for the connection is decided by whoever serves it.

mod handshake;
mod proxy_header;

pub(crate) use handshake::handshake;
pub(crate) use proxy_header::{NoHeader, read_proxy_header};
