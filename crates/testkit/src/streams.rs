//! The origin's HTTP/2: every stream of a connection is a request of its own, held and counted as those of HTTP/1.1 are.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fuseboard_core::Rng;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::faults::{End, Treatment};
use crate::ledger::{self, OpenConnection};
use crate::origin::{ATTEMPT, Inside, Pause};

/// A socket that the ledger looks at as well.
struct Shared(Arc<TcpStream>);

pub(crate) async fn serve(
    stream: Arc<TcpStream>,
    open: &OpenConnection,
    host: usize,
    inside: Arc<Inside>,
    mut rng: Rng,
) -> io::Result<()> {
    let mut builder = h2::server::Builder::new();
    if let Some(streams) = inside.options.streams {
        builder.max_concurrent_streams(streams.get());
    }
    let mut frames = builder.handshake(Shared(stream)).await.map_err(io::Error::other)?;
    while let Some(stream) = frames.accept().await {
        let (request, respond) = stream.map_err(io::Error::other)?;
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let attempt = request.headers().get(ATTEMPT).and_then(|value| value.to_str().ok()?.parse().ok());
        let counted = inside.ledger.begin(open, target, attempt.unwrap_or_default());
        let mut treatment = inside.options.faults.draw(&mut rng);
        match treatment {
            // With all other streams that it has.
            Treatment::EndBefore(End::Close) => return Ok(()),
            // Those that have come are answered, and whoever sends another must notice that nobody looks at it.
            Treatment::EndAfter(End::Close) => {
                frames.graceful_shutdown();
                treatment = Treatment::Answer;
            }
            _ => {}
        }
        let pause = inside.pause(&mut rng);
        tokio::spawn(answer(request, respond, host, Arc::clone(&inside), counted, (treatment, pause)));
    }
    Ok(())
}

/// Whatever fails here, the client does not want the answer any more.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    host: usize,
    inside: Arc<Inside>,
    counted: ledger::Request,
    (treatment, pause): (Treatment, Pause),
) -> Result<(), h2::Error> {
    tokio::select! {
        () = inside.released() => {}
        reason = poll_fn(|cx| respond.poll_reset(cx)) => return reason.map(drop),
    }
    pause.pass().await;
    match treatment {
        Treatment::EndBefore(_) => {
            drop(counted);
            respond.send_reset(Reason::INTERNAL_ERROR);
            return Ok(());
        }
        Treatment::Silence => return poll_fn(|cx| respond.poll_reset(cx)).await.map(drop),
        _ => {}
    }
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let status = if target.contains("status=503") { 503 } else { 200 };
    let head = Response::builder().status(status).header("x-host", host);
    let Ok(head) = head.header("content-length", target.len()).body(()) else { return Ok(()) };
    counted.answered();
    let mut body = respond.send_response(head, false)?;
    let whole = Bytes::copy_from_slice(target.as_bytes());
    if let Treatment::EndWithin(_) = treatment {
        body.send_data(whole.slice(..whole.len() / 2), false)?;
        // A reset takes back what has not gone out, so its connection gets a turn first.
        tokio::task::yield_now().await;
        body.send_reset(Reason::INTERNAL_ERROR);
        return Ok(());
    }
    body.send_data(whole, true)
}

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(into.initialize_unfilled()) {
                Ok(read) => {
                    into.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The last one to let go of the socket closes it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
