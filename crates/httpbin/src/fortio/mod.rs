//! The servers of `fortio server`: gRPC with ping and health, echo over HTTP with a debug page, a redirector to https, TCP
//! echo and UDP echo. There is no UI here.

mod calls;
mod debug;
mod http_echo;
mod raw;
mod redirector;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_tls::ServerPolicy;

use crate::echo::Bounds;
use crate::listener::{self, Listeners, ServeError};

const GRPC: &str = "grpc 'ping'";
const HTTP: &str = "http-echo";

/// Longest body that is echoed over HTTP, and longest message of gRPC.
pub const MOST_BODY_BYTES: usize = 16 << 20;

/// Which servers to run, and how. Port 0 takes a free port.
#[derive(Debug, Clone)]
pub struct FortioOptions {
    /// Echo over HTTP.
    pub http: Option<SocketAddr>,
    /// Echo over TCP.
    pub tcp: Option<SocketAddr>,
    /// Echo over UDP.
    pub udp: Option<SocketAddr>,
    /// gRPC: fortio's ping, health, and calls whose failures the caller chooses.
    pub grpc: Option<SocketAddr>,
    /// What TLS is spoken with by the echo over HTTP and by gRPC; none by default.
    pub tls: Option<Arc<ServerPolicy>>,
    /// Sends every request to the same place with https.
    pub redirect: Option<SocketAddr>,
    /// Path of the debug page of the HTTP echo; empty: none.
    pub debug_path: String,
    /// Longest delay of an echo (fortio: 1.5 s).
    pub max_delay: Duration,
    /// Largest `size=` of an echo, in bytes (fortio: 256 KiB).
    pub max_size: usize,
    /// Query of echo requests that have none.
    pub usual_query: String,
    /// Seed of everything random. `None` takes one from the operating system.
    pub seed: Option<u64>,
}

impl Default for FortioOptions {
    fn default() -> Self {
        Self {
            http: None,
            tcp: None,
            udp: None,
            grpc: None,
            tls: None,
            redirect: None,
            debug_path: "/debug".into(),
            max_delay: Duration::from_millis(1_500),
            max_size: 256 << 10,
            usual_query: String::new(),
            seed: None,
        }
    }
}

impl FortioOptions {
    fn bounds(&self) -> Bounds {
        Bounds { delay: self.max_delay, size: self.max_size, body: MOST_BODY_BYTES }
    }
}

/// A server that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// fortio's name of it: `grpc 'ping'`, `http-echo`, `tcp-echo`, `udp-echo` or `https redirector`.
    pub name: &'static str,
    /// `tcp` or `udp`.
    pub network: &'static str,
    /// Its address, with the port chosen.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub is_secure: bool,
}

/// Running servers. Dropping stops them at once; [`Fortio::stop`] lets answers under way finish.
#[derive(Debug)]
pub struct Fortio {
    listening: Vec<Listening>,
    listeners: Listeners,
}

impl Fortio {
    /// What listens, in fortio's order.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Stops accepting, and waits up to a second for answers under way.
    pub async fn stop(self) {
        self.listeners.stop().await;
    }
}

/// Starts the servers on the runtime this is called from; they are listening when this returns.
pub async fn serve_fortio(options: FortioOptions) -> Result<Fortio, ServeError> {
    let tls = listener::acceptor(options.tls.as_ref())?;
    let mut listeners = Listeners::new();
    let mut listening = Vec::new();
    let is_secured = tls.is_some();
    let mut told = |name, network, address| {
        let is_secure = is_secured && matches!(name, GRPC | HTTP);
        listening.push(Listening { name, network, address, is_secure });
    };
    if let Some(address) = options.tcp {
        told("tcp-echo", "tcp", raw::tcp(&mut listeners, address).await?);
    }
    if let Some(address) = options.udp {
        told("udp-echo", "udp", raw::udp(&mut listeners, address).await?);
    }
    if let Some(address) = options.grpc {
        let calls = Arc::new(calls::Calls::new(&options));
        told(GRPC, "tcp", listeners.add(address, tls.as_ref(), calls).await?);
    }
    if let Some(address) = options.redirect {
        told(
            "https redirector",
            "tcp",
            listeners.add(address, None, Arc::new(redirector::Redirector)).await?,
        );
    }
    if let Some(address) = options.http {
        let echo = Arc::new(http_echo::HttpEcho::new(&options));
        told(HTTP, "tcp", listeners.add(address, tls.as_ref(), echo).await?);
    }
    Ok(Fortio { listening, listeners })
}
