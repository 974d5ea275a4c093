//! The TLS handshake of a client, within its time. Who speaks plain HTTP instead is told so, in plain HTTP.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use fuseboard_admin::logging::logger;
use fuseboard_tls::Failure;
use tracing::debug;

use super::identity::Identity;
use super::{Downstream, End, Spoken};
use crate::arrival::handshake;

/// What a client gets that took us for a server without TLS; nginx's status and words.
const PLAIN_TEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 67\r\n\
connection: close\r\n\r\nThe plain HTTP request was sent to an HTTPS port; write https://.\r\n";

impl Downstream {
    /// Agrees on TLS, if the listener has it. `Err`: the connection is over.
    pub(super) async fn secure(&mut self) -> Result<(), End> {
        let Some(context) = self.listener().tls() else { return Ok(()) };
        self.stats().http.downstream_cx_ssl_total.inc();
        let patience = self.routes.http_settings().map_or(Duration::ZERO, |http| http.handshake_timeout);
        let Some(socket) = self.line.socket() else { return Ok(()) };
        match handshake(socket, &self.timers, &context, patience).await {
            Some(Ok(())) => {
                if let Some(session) = self.line.tls() {
                    let agreed_on_http2 = session.protocol() == Some(fuseboard_tls::HTTP_2);
                    let identity = Identity::of(session, &context);
                    self.stats().ssl.count_session(&session.peer());
                    self.identity = Some(Rc::new(identity));
                    self.stats().http.downstream_cx_ssl_active.inc();
                    if agreed_on_http2 {
                        self.begin(Spoken::Http2);
                    }
                }
                Ok(())
            }
            Some(Err(failure)) => {
                let remote = matches!(failure, Failure::Transport(_));
                self.stats().ssl.count_failure(failure.kind());
                debug!(target: logger::CONN_HANDLER, "no TLS with {}: {}", self.peer(), failure.reason());
                if self.line.tls().is_some_and(fuseboard_tls::Session::began_in_plain_text) {
                    self.stats().own.plain_text_on_tls.inc();
                    self.answer_in_plain_text().await;
                }
                Err(End { remote, busy: false })
            }
            None => {
                self.stats().listener.downstream_cx_transport_socket_connect_timeout.inc();
                Err(End { remote: false, busy: false })
            }
        }
    }

    async fn answer_in_plain_text(&mut self) {
        if let Some(socket) = self.line.socket() {
            socket.give_up_tls();
        }
        self.output = PLAIN_TEXT.to_vec();
        // The socket was never written to, so that this fits into it at once.
        let sent = poll_fn(|cx| Poll::Ready(self.poll_flush(cx))).await;
        if matches!(sent, Poll::Ready(Ok(()))) {
            self.linger().await;
        }
    }

    /// A connection with TLS is over.
    pub(super) fn count_insecure(&self) {
        if self.identity.is_some() {
            self.stats().http.downstream_cx_ssl_active.dec();
        }
    }
}
