//! The servers of `fortio server`: echo over HTTP with a debug page, a redirector to https, TCP echo and UDP echo.
//! There is no UI and no gRPC here.

mod debug;
mod http_echo;
mod raw;
mod redirector;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::listener::{Listeners, ServeError};

/// Longest body that is echoed over HTTP.
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
            redirect: None,
            debug_path: "/debug".into(),
            max_delay: Duration::from_millis(1_500),
            max_size: 256 << 10,
            usual_query: String::new(),
            seed: None,
        }
    }
}

/// A server that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// fortio's name of it: `http-echo`, `tcp-echo`, `udp-echo` or `https redirector`.
    pub name: &'static str,
    /// `tcp` or `udp`.
    pub network: &'static str,
    /// Its address, with the port chosen.
    pub address: SocketAddr,
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
    let mut listeners = Listeners::new();
    let mut listening = Vec::new();
    let mut told = |name, network, address| listening.push(Listening { name, network, address });
    if let Some(address) = options.tcp {
        told("tcp-echo", "tcp", raw::tcp(&mut listeners, address).await?);
    }
    if let Some(address) = options.udp {
        told("udp-echo", "udp", raw::udp(&mut listeners, address).await?);
    }
    if let Some(address) = options.redirect {
        told("https redirector", "tcp", listeners.add(address, Arc::new(redirector::Redirector)).await?);
    }
    if let Some(address) = options.http {
        let echo = Arc::new(http_echo::HttpEcho::new(&options));
        told("http-echo", "tcp", listeners.add(address, echo).await?);
    }
    Ok(Fortio { listening, listeners })
}
