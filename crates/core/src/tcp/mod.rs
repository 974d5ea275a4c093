//! One TCP connection through the proxy, as far as it is decided and not only carried: when its time is up, what its end
//! says of its host, whether another connect is tried.
//!
//! - `life`: idle time-out, greatest age, and the end of the proxy
//! - `proxy_header`: the PROXY protocol
//! - `sniff`: what a client speaks, by its first bytes
//! - `ending`: the ways a connection can end, and the outcome that each is

mod ending;
mod life;
mod proxy_header;
mod sniff;

pub use ending::{Ending, Heard};
pub use life::{DRAIN_IDLE, Life, Lifetimes};
pub use proxy_header::{MAX_PROXY_HEADER, NoProxyHeader, Proxied, ProxyHeader, ProxyVersion};
pub use sniff::{HTTP2_PREFACE, Hello, MAX_SNIFFED, Spoken};
