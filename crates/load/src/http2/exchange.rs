//! One request and its answer on a stream of its own.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Version};
use tokio::sync::mpsc;

use crate::answer::Receiver;
use crate::security;

/// What came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) body_bytes: u64,
}

/// What is sent behind the head.
pub(crate) enum Outgoing<'a> {
    Whole(Bytes),
    /// As it comes.
    Pieces(&'a mut mpsc::Receiver<Vec<u8>>),
}

/// Why there is no whole answer, and how far it got.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) error: h2::Error,
    /// The server cannot have begun with it.
    pub(crate) unprocessed: bool,
    /// Bytes of the body that came.
    pub(crate) body_bytes: u64,
}

impl Broken {
    /// The connection is of no use any more.
    pub(crate) fn ends_the_connection(&self) -> bool {
        !self.error.is_reset()
    }
}

pub(crate) async fn converse(
    sender: SendRequest<Bytes>,
    head: http::Request<()>,
    outgoing: Outgoing<'_>,
    receiver: Option<&mut dyn Receiver>,
) -> Result<Received, Broken> {
    let unsent = |error| Broken { error, unprocessed: true, body_bytes: 0 };
    let mut sender = sender.ready().await.map_err(unsent)?;
    let is_all = matches!(&outgoing, Outgoing::Whole(body) if body.is_empty());
    let (answer, mut stream) = sender.send_request(head, is_all).map_err(unsent)?;
    drop(sender);
    let sending = async {
        match outgoing {
            Outgoing::Whole(body) if body.is_empty() => Ok(()),
            // The whole body is there anyway: what the window does not let pass waits inside.
            Outgoing::Whole(body) => stream.send_data(body, true),
            Outgoing::Pieces(pieces) => stream_out(&mut stream, pieces).await,
        }
    };
    let (mut sending, mut answer) = (pin!(sending), pin!(answer));
    let before_the_head = |error: h2::Error| {
        let unprocessed = error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR);
        Broken { error, unprocessed, body_bytes: 0 }
    };
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // An error in sending is not the end: a server may answer before it has read everything.
        _ = &mut sending => answer.await,
    };
    let (parts, body) = answer.map_err(before_the_head)?.into_parts();
    let mut came =
        Received { status: parts.status.as_u16(), fields: parts.headers, trailers: None, body_bytes: 0 };
    match read(&mut came, body, receiver).await {
        Ok(()) => Ok(came),
        Err(error) => Err(Broken { error, unprocessed: false, body_bytes: came.body_bytes }),
    }
}

async fn read(
    came: &mut Received,
    mut body: RecvStream,
    mut receiver: Option<&mut dyn Receiver>,
) -> Result<(), h2::Error> {
    if let Some(receiver) = receiver.as_deref_mut() {
        receiver.head(came.status, &head_text(came));
    }
    while let Some(piece) = body.data().await {
        let piece = match piece {
            Ok(piece) => piece,
            // The answer is whole, and the rest of the request not wanted (RFC 9113, section 8.1).
            Err(error) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => return Ok(()),
            Err(error) => return Err(error),
        };
        came.body_bytes += piece.len() as u64;
        body.flow_control().release_capacity(piece.len())?;
        if let Some(receiver) = receiver.as_deref_mut() {
            receiver.body(&piece);
        }
    }
    came.trailers = body.trailers().await?;
    Ok(())
}

/// The head as `curl` shows one of HTTP/2.
fn head_text(came: &Received) -> Vec<u8> {
    let mut text = format!("{:?} {}\r\n", Version::HTTP_2, came.status).replace("/2.0", "/2").into_bytes();
    for (name, value) in &came.fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// Sends pieces as far as the server takes them.
async fn stream_out(
    stream: &mut SendStream<Bytes>,
    pieces: &mut mpsc::Receiver<Vec<u8>>,
) -> Result<(), h2::Error> {
    while let Some(piece) = pieces.recv().await {
        let mut rest = Bytes::from(piece);
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            let Some(room) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return Ok(()) };
            let taken = room?.min(rest.len());
            stream.send_data(rest.split_to(taken), false)?;
        }
    }
    stream.send_data(Bytes::new(), true)
}

/// What went wrong, in the words that Go has for it where it has some.
pub(crate) fn words(error: &h2::Error) -> String {
    if let Some(io) = error.get_io() {
        return match io.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "unexpected EOF".to_owned(),
            _ => security::words(io).unwrap_or_else(|| io.to_string()),
        };
    }
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    match (error.is_reset(), error.is_go_away(), error.is_remote()) {
        (true, _, true) => format!("stream error: {reason:?}; received from peer"),
        (true, _, false) => format!("stream error: {reason:?}"),
        (_, true, true) => {
            format!("http2: server sent GOAWAY and closed the connection; ErrCode={reason:?}")
        }
        // The first bytes of an answer in HTTP/1.1 say so as the length of a frame.
        (_, _, false) if reason == Reason::FRAME_SIZE_ERROR => {
            format!("connection error: {reason:?}; the server may speak HTTP/1.1 only")
        }
        _ => format!("connection error: {reason:?}"),
    }
}
