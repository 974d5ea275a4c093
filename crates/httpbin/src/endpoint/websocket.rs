//! `/websocket/echo`: every message comes back, in frames no longer than a fragment may be.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::caching::sendable;
use super::{Answer, Instance, Shared};
use crate::listener::Connection;
use crate::number;
use crate::query::Args;
use crate::reply::{self, Refusal};

/// The version of RFC 6455.
const VERSION: &str = "13";

pub(super) async fn echo(
    State(instance): State<Shared>,
    Extension(connection): Extension<Connection>,
    args: Args,
    mut request: Request,
) -> Answer {
    let limits = Limits::read(&instance, &args)?;
    let accept = shake_hands(request.headers())?;
    let upgrade = hyper::upgrade::on(&mut request);
    let longest = instance.max_duration;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::time::timeout(longest, converse(upgrade, limits)) => {}
            () = connection.stopped() => {}
        }
    });
    let mut response = reply::bare(StatusCode::SWITCHING_PROTOCOLS, Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, sendable(&accept)?);
    Ok(response)
}

/// What to accept the client's key with.
fn shake_hands(headers: &HeaderMap) -> Result<String, Refusal> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !text(UPGRADE).eq_ignore_ascii_case("websocket") {
        return Err(Refusal::bad("missing required `Upgrade: websocket` header"));
    }
    let version = text(SEC_WEBSOCKET_VERSION);
    if version != VERSION {
        let problem = format!("only websocket version {VERSION:?} is supported, got {version:?}");
        return Err(Refusal::bad(problem));
    }
    match text(SEC_WEBSOCKET_KEY) {
        "" => Err(Refusal::bad("missing required `Sec-Websocket-Key` header")),
        key => Ok(derive_accept_key(key.as_bytes())),
    }
}

/// Longest fragment and longest message, in bytes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    fragment: usize,
    message: usize,
}

impl Limits {
    fn read(instance: &Instance, args: &Args) -> Result<Self, Refusal> {
        let most = instance.max_body_bytes;
        let size = |name: &str, usual: usize| {
            let Some(text) = args.get(name) else { return Ok(usual) };
            let invalid = |problem: String| Refusal::bad(format!("invalid {name}: {problem}"));
            let size = number::whole("ParseInt", text).map_err(invalid)?;
            let good = usize::try_from(size).ok().filter(|size| (1..=most).contains(size));
            good.ok_or_else(|| invalid(format!("{size} not in range [1, {most}]")))
        };
        let limits =
            Self { fragment: size("max_fragment_size", most / 2)?, message: size("max_message_size", most)? };
        if limits.fragment > limits.message {
            let Self { fragment, message } = limits;
            return Err(Refusal::bad(format!(
                "max_fragment_size {fragment} must be less than or equal to max_message_size {message}"
            )));
        }
        Ok(limits)
    }
}

async fn converse(upgrade: OnUpgrade, limits: Limits) {
    // Without it, the client went away before its answer.
    let Ok(upgraded) = upgrade.await else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(limits.message))
        .max_frame_size(Some(limits.fragment));
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    while let Some(message) = socket.next().await {
        let sent = match message {
            Ok(Message::Text(text)) => send(&mut socket, Data::Text, text.into(), limits).await,
            Ok(Message::Binary(bytes)) => send(&mut socket, Data::Binary, bytes, limits).await,
            // Pings and a close are answered by the protocol.
            Ok(_) => Ok(()),
            Err(error) => {
                let close = CloseFrame { code: close_code(&error), reason: error.to_string().into() };
                let _ = socket.send(Message::Close(Some(close))).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send(
    socket: &mut WebSocketStream<TokioIo<Upgraded>>,
    kind: Data,
    message: Bytes,
    limits: Limits,
) -> Result<(), Error> {
    let mut kind = kind;
    let mut rest = message;
    loop {
        let fragment = rest.split_to(rest.len().min(limits.fragment));
        let is_last = rest.is_empty();
        let frame = Frame::message(fragment, OpCode::Data(kind), is_last);
        socket.send(Message::Frame(frame)).await?;
        if is_last {
            return Ok(());
        }
        kind = Data::Continue;
    }
}

fn close_code(error: &Error) -> CloseCode {
    match error {
        Error::Capacity(_) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Protocol(_) => CloseCode::Protocol,
        _ => CloseCode::Error,
    }
}
