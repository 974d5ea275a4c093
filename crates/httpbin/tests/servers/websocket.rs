//! The WebSocket, spoken to with a client of the same library and with frames of our own.

use fuseboard_httpbin::Server;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::client::{ask, refused, start, start_with, until};

async fn connect(server: &Server, query: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    let url = format!("ws://{}/websocket/echo{query}", server.addresses()[0]);
    client_async(url, stream).await.unwrap().0
}

async fn closed_with(socket: &mut WebSocketStream<TcpStream>) -> CloseCode {
    loop {
        if let Message::Close(close) = socket.next().await.unwrap().unwrap() {
            return close.unwrap().code;
        }
    }
}

#[tokio::test]
async fn messages_come_back_and_a_close_is_answered() {
    let server = start().await;
    let mut socket = connect(&server, "").await;
    for message in [Message::text("hi"), Message::binary(vec![0, 255]), Message::text("")] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).await.unwrap();
    assert_eq!(closed_with(&mut socket).await, CloseCode::Normal);
    assert!(socket.next().await.is_none());
    let control = server.control();
    until(|| control.counts().connections.active == 0).await;
}

#[tokio::test]
async fn a_message_in_fragments_comes_back_in_fragments() {
    let server = start().await;
    let mut socket = connect(&server, "?max_fragment_size=4&max_message_size=10").await;
    let part =
        |bytes: &'static [u8], kind, last| Message::Frame(Frame::message(bytes, OpCode::Data(kind), last));
    socket.send(part(b"1234", Data::Text, false)).await.unwrap();
    socket.send(part(b"5678", Data::Continue, false)).await.unwrap();
    socket.send(part(b"9", Data::Continue, true)).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("123456789"));
}

#[tokio::test]
async fn what_is_too_large_ends_the_conversation() {
    let server = start().await;
    let mut socket = connect(&server, "?max_fragment_size=4").await;
    socket.send(Message::text("12345")).await.unwrap();
    assert_eq!(closed_with(&mut socket).await, CloseCode::Size);
    let mut socket = connect(&server, "?max_fragment_size=4&max_message_size=6").await;
    let part =
        |bytes: &'static [u8], kind, last| Message::Frame(Frame::message(bytes, OpCode::Data(kind), last));
    socket.send(part(b"1234", Data::Text, false)).await.unwrap();
    socket.send(part(b"567", Data::Continue, true)).await.unwrap();
    assert_eq!(closed_with(&mut socket).await, CloseCode::Size);
}

#[tokio::test]
async fn a_conversation_has_its_longest_time() {
    let server = start_with(|options| options.max_duration = std::time::Duration::from_millis(50)).await;
    let mut socket = connect(&server, "").await;
    assert!(!matches!(socket.next().await, Some(Ok(_))));
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let server = start().await;
    assert_eq!(
        refused(&server, "/websocket/echo", 400).await,
        "missing required `Upgrade: websocket` header"
    );
    let version =
        ask(&server, "GET /websocket/echo", &["Upgrade: websocket", "Sec-WebSocket-Version: 8"], "").await;
    assert_eq!(version.json()["detail"], "only websocket version \"13\" is supported, got \"8\"");
    assert_eq!(
        refused(&server, "/websocket/echo?max_fragment_size=20&max_message_size=10", 400).await,
        "max_fragment_size 20 must be less than or equal to max_message_size 10"
    );
}
