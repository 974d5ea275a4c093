//! Why a proxy did not start, or did not take a snapshot.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::admin::BindError;

/// Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener's address could not be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The admin address could not be bound, or other machines could reach it.
    #[error("{source}{holder}")]
    Admin {
        /// `: in use by envoy (pid 17)`, or empty.
        holder: String,
        /// What is wrong with the address.
        source: BindError,
    },
    /// The address for Prometheus could not be bound.
    #[error("cannot serve metrics on {address}{holder}")]
    Metrics {
        /// As given.
        address: SocketAddr,
        /// `: in use by envoy (pid 17)`, or empty.
        holder: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file of a log could not be opened.
    #[error("{what} {path} cannot be written")]
    Log {
        /// Which log.
        what: &'static str,
        /// As given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or its event loop could not be made.
    #[error("cannot start {what}")]
    Thread {
        /// `worker 0`
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The snapshot was not taken; what ran before still runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A new listener's address could not be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The proxy has ended.
    #[error("the proxy has ended")]
    Ended,
}

/// An address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listener {name} cannot listen on {address}{holder}")]
pub struct ListenError {
    /// The listener's name.
    pub name: Arc<str>,
    /// The address asked for.
    pub address: SocketAddr,
    /// `: in use by nginx (pid 17)` where the system tells, else empty.
    pub holder: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}
