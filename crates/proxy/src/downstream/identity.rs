//! What TLS told of a client, put into words once for all its requests: the server it asked for, and its certificate as
//! Envoy's `x-forwarded-client-cert` has it, with the details that Istio asks for (subject, URIs, DNS names).

use fuseboard_tls::forwarded::element;
use fuseboard_tls::{ServerContext, Session};

/// Of one connection.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(super) server_name: Option<Box<str>>,
    /// One element of the field.
    pub(super) client: Option<Box<str>>,
}

impl Identity {
    pub(super) fn of(session: &Session, context: &ServerContext) -> Self {
        let server_name = session.server_name().map(Into::into);
        let own = context.shown_to(session.server_name());
        let client = session.peer_certificate().map(|client| element(own, &client).into());
        Self { server_name, client }
    }
}
