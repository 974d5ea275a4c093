//! A client that asks to go on in HTTP/2 ([`Upgrade`]): our 101, and what it begins with then. Not through TLS, where ALPN decides, not while we
//! drain, and not for one that has sent more already, which would be of the old version.

use std::future::poll_fn;
use std::task::Poll;

use fuseboard_http1::{RequestHead, RequestSummary};

use super::{Downstream, End, Spoken};
use crate::buffer::{BUFFER_SIZE, Buffer};
use crate::clock;
use crate::deadline::Timer;
use crate::exchange;
use crate::http2::{Begun, Upgrade};

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";

impl Downstream {
    /// Whether the request at the front of the input asks for an upgrade that we take.
    pub(super) fn offered_upgrade(&self, request: RequestSummary, length: usize) -> Option<Upgrade> {
        let head = RequestHead::restore(&self.input.filled()[..length], &self.request_headers, request);
        head.h2c()?;
        let alone = self.input.len() == length && !self.is_secure();
        let stays = !self.worker.is_draining() && !self.worker.says_farewell();
        if alone && stays { Upgrade::asked_by(&head) } else { None }
    }

    /// Switches, and leaves in the input what the connection of HTTP/2 begins with. The request is counted when it comes as a stream.
    pub(super) async fn switch(&mut self, upgrade: &Upgrade) -> Result<(), End> {
        let Some(patience) = self.routes.http_settings().map(|settings| settings.request_headers_timeout)
        else {
            return Err(End { remote: false, busy: false });
        };
        self.input.consume(self.input.len());
        self.output.extend_from_slice(SWITCHING);
        if !exchange::flush(self).await {
            return Err(End { remote: true, busy: false });
        }
        self.switched();
        self.timers.arm(Timer::RequestHead, clock::now() + patience);
        let begun = loop {
            match upgrade.begin(self.input.filled()) {
                Begun::With(ahead) => break Ok(ahead),
                Begun::Broken => {
                    self.stats().http.downstream_cx_protocol_error.inc();
                    break Err(End { remote: false, busy: false });
                }
                Begun::NotYet => {}
            }
            if let Err(end) = self.read_on().await {
                break Err(end);
            }
        };
        self.timers.disarm(Timer::RequestHead);
        self.input.consume(self.input.len());
        self.release_buffers();
        self.input = Buffer::of(&begun?);
        Ok(())
    }

    async fn read_on(&mut self) -> Result<(), End> {
        self.take_buffers();
        // A first frame that is larger is broken.
        self.input.make_room(2 * BUFFER_SIZE);
        poll_fn(|cx| match self.poll_read(cx) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(())),
            Poll::Ready(_) => Poll::Ready(Err(End { remote: true, busy: false })),
            Poll::Pending => {
                let late = |_| Poll::Ready(Err(End { remote: false, busy: false }));
                self.timers.poll_expired(cx).map_or(Poll::Pending, late)
            }
        })
        .await
    }

    /// What is spoken from now on.
    fn switched(&mut self) {
        self.stats().http.downstream_cx_http1_active.dec();
        self.spoken = None;
        self.begin(Spoken::Http2);
    }
}
