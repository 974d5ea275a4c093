//! Calls whose failures the caller chooses: `fuseboard.test.v1.Status` has a method for each code, `fuseboard.test.v1.Echo`
//! one for each kind of streaming, which do what the metadata wishes for.

use axum::body::Body;
use fuseboard_grpc::Code;
use http::{HeaderMap, Response};

use super::call::{Call, Ended, Headers, Messages, Replies, pause};
use super::status::Status;
use super::wish::{End, Wanted};
use super::{ended, unknown_method};
use crate::echo::Bounds;
use crate::random::Random;

pub(super) const ECHO: &str = "fuseboard.test.v1.Echo";
pub(super) const STATUS: &str = "fuseboard.test.v1.Status";

/// What goes both ways.
#[derive(Clone, PartialEq, prost::Message)]
struct Note {
    /// In answers: which of the stream's messages it is, from 1; of a stream of the client, how many there were.
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(bytes = "vec", tag = "2")]
    payload: Vec<u8>,
}

/// The method named after a code ends with it.
pub(super) async fn status(method: &str, call: Call) -> Response<Body> {
    let code = Code::ALL.into_iter().find(|code| format!("{code:?}") == method);
    let Some(code) = code else { return unknown_method(STATUS, method) };
    let work = |mut messages: Messages, replies: Replies| async move {
        let answered = async {
            let note: Note = messages.only().await?;
            match code {
                Code::Ok => replies.send(&Note { number: 1, ..note }).await,
                code => Err(Status::new(code, format!("{code:?} as asked for"))),
            }
        };
        answered.await.into()
    };
    call.answer(Headers::default(), work).await
}

/// How many messages go which way.
#[derive(Clone, Copy)]
enum Kind {
    Unary,
    ServerStream,
    ClientStream,
    BidiStream,
}

pub(super) async fn echo(method: &str, call: Call, bounds: Bounds, mut random: Random) -> Response<Body> {
    let kind = match method {
        "Unary" => Kind::Unary,
        "ServerStream" => Kind::ServerStream,
        "ClientStream" => Kind::ClientStream,
        "BidiStream" => Kind::BidiStream,
        _ => return unknown_method(ECHO, method),
    };
    let wanted = match Wanted::read(&call.metadata, bounds, &mut random) {
        Ok(wanted) => wanted,
        Err(status) => return ended(status),
    };
    let mut headers = Headers(wanted.headers.clone());
    if wanted.close {
        headers.close();
    }
    call.answer(headers, async move |messages, replies| {
        match converse(kind, messages, &replies, &wanted).await {
            Ok(()) => wanted.ended(),
            Err(status) => Ended::With(status, HeaderMap::new()),
        }
    })
    .await
}

impl Wanted {
    fn ended(self) -> Ended {
        match self.end {
            End::With(status) => Ended::With(status, self.trailers),
            End::Reset => Ended::Reset(h2::Reason::INTERNAL_ERROR),
            End::Http(status) => Ended::Http(status),
        }
    }

    /// Whether the end comes before the message with this number, from 0.
    fn ends_before(&self, number: u64) -> bool {
        !self.end.is_good() && number >= self.after
    }

    fn note(&self, number: u64, payload: Vec<u8>) -> Note {
        Note { number, payload: self.payload.clone().unwrap_or(payload) }
    }
}

/// All messages that go before the end.
async fn converse(
    kind: Kind,
    mut messages: Messages,
    replies: &Replies,
    wanted: &Wanted,
) -> Result<(), Status> {
    match kind {
        Kind::Unary | Kind::ServerStream => {
            let note: Note = messages.only().await?;
            pause(wanted.delay).await;
            let count = if matches!(kind, Kind::Unary) { 1 } else { wanted.messages };
            for number in 0..count {
                if wanted.ends_before(number) {
                    break;
                }
                if number > 0 {
                    pause(wanted.every).await;
                }
                replies.send(&wanted.note(number + 1, note.payload.clone())).await?;
            }
        }
        Kind::ClientStream => {
            let mut received = 0;
            let mut last = Vec::new();
            while !wanted.ends_before(received) {
                let Some(note) = messages.next::<Note>().await? else { break };
                (received, last) = (received + 1, note.payload);
            }
            pause(wanted.delay).await;
            if wanted.end.is_good() {
                replies.send(&wanted.note(received, last)).await?;
            }
        }
        Kind::BidiStream => {
            pause(wanted.delay).await;
            let mut number = 0;
            while !wanted.ends_before(number) {
                let Some(note) = messages.next::<Note>().await? else { break };
                if number > 0 {
                    pause(wanted.every).await;
                }
                number += 1;
                replies.send(&wanted.note(number, note.payload)).await?;
            }
        }
    }
    Ok(())
}
