//! What each side of a connection asks for, as data: what snapshots hold.

use std::sync::Arc;

use crate::material::{Authorities, Credential, Revocations};

/// The lowest version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2
    #[default]
    V1_2,
    /// TLS 1.3
    V1_3,
}

/// What we ask of a server, and show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPolicy {
    /// The server name to send; `None`: that of the request (Envoy's `auto_sni`).
    pub sni: Option<Arc<str>>,
    /// Who may sign the server's certificate; `None`: nothing of it is checked.
    pub trust: Option<Trust>,
    /// What the server's certificate must be for.
    pub names: Names,
    /// What we show.
    pub credential: Option<Arc<Credential>>,
    /// The lowest version.
    pub min_version: TlsVersion,
}

/// Who may sign the other side's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Authorities.
    pub authorities: Arc<Authorities>,
    /// What they took back.
    pub revocations: Option<Arc<Revocations>>,
}

/// What a server's certificate must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Anything.
    Any,
    /// The host of the request (Envoy's `auto_san_validation`); or, with a server name that was written, that.
    Requested,
    /// One of these: DNS names, URIs, addresses, mailboxes.
    OneOf(Arc<[String]>),
}

/// What we show clients, and ask of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPolicy {
    /// What we show, by the names in them; the first to those who name none of them. Never empty.
    pub credentials: Vec<Arc<Credential>>,
    /// Who may sign clients' certificates, which they must then show; `None`: they are not asked.
    pub clients: Option<Trust>,
    /// The lowest version.
    pub min_version: TlsVersion,
}
