//! The client side of a connection: agrees on TLS where the listener has it, reads heads one after the other, hands each to an exchange, and ends the connection in
//! a way that its client can understand.

mod connection;
mod handshake;
mod head;
mod http2;
mod identity;
mod line;
mod room;
mod stream_task;
mod upgrade;

use std::rc::Rc;

use fuseboard_core::Instant;

use crate::arrival::{Arrival, NoHeader};
use crate::clock;
use crate::exchange::{self, After};
use crate::upstream::millis;
use crate::worker::Worker;

pub(crate) use connection::{Downstream, Place, Spoken};
pub(crate) use head::{Head, Rejected};
pub(crate) use line::Line;
pub(crate) use room::Rooms;
pub(crate) use stream_task::StreamTasks;

/// Serves one connection to its end.
pub(crate) fn serve(worker: Rc<Worker>, arrival: Arrival) -> impl Future<Output = ()> {
    let Arrival { stream, called, header, started, permit, seat, server_name: _ } = arrival;
    let place = Place::new(permit, Some(seat), called, header == Ok(true));
    let connection = Box::new(Downstream::new(Line::Socket(stream), place, worker, started));
    connection.count_opened();
    converse(connection, header.err(), started)
}

/// Agrees on TLS and on what is spoken, and serves that.
async fn converse(mut connection: Box<Downstream>, no_header: Option<NoHeader>, started: Instant) {
    let begun = match no_header {
        None => connection.secure().await,
        Some(why) => {
            why.count(&connection.stats().own);
            Err(End { remote: why == NoHeader::Gone, busy: false })
        }
    };
    let (mut connection, outcome) = match begun {
        Ok(()) if connection.spoken == Some(Spoken::Http2) => (connection, Outcome::Http2),
        Ok(()) => exchanges(connection).await,
        Err(end) => (connection, Outcome::Over(end)),
    };
    match outcome {
        Outcome::Over(end) => connection.count_end(end, started),
        // A task of its own: room for all that it needs would make every task of HTTP/1.1 larger.
        Outcome::Http2 => drop(tokio::task::spawn_local(async move {
            let end = http2::serve(&mut connection).await;
            connection.count_end(end, started);
        })),
    }
}

/// How a connection of HTTP/1.1 comes to its end, as such.
enum Outcome {
    /// There is no connection any more.
    Over(End),
    /// From now on it speaks HTTP/2, and begins with what its input holds.
    Http2,
}

/// Who ended a downstream connection, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The client did.
    pub(crate) remote: bool,
    /// A request was in flight.
    pub(crate) busy: bool,
}

impl Downstream {
    fn count_end(&self, end: End, started: Instant) {
        self.count_insecure();
        self.count_closed(end, millis(clock::now().saturating_since(started)));
    }
}

async fn exchanges(mut connection: Box<Downstream>) -> (Box<Downstream>, Outcome) {
    let worker = Rc::clone(&connection.worker);
    let outcome = loop {
        match connection.read_head().await {
            Head::Request(request, length) => {
                if let Some(upgrade) = connection.offered_upgrade(request, length) {
                    // Elsewhere: most connections never need the room.
                    break match Box::pin(connection.switch(&upgrade)).await {
                        Ok(()) => Outcome::Http2,
                        Err(end) => Outcome::Over(end),
                    };
                }
                let after;
                (connection, after) = worker.rooms.serve(connection, request, length).await;
                match after {
                    After::Next => {}
                    After::Close => {
                        connection.say_end();
                        break Outcome::Over(End { remote: false, busy: false });
                    }
                    After::Linger => {
                        connection.linger().await;
                        break Outcome::Over(End { remote: false, busy: false });
                    }
                    After::Reset => {
                        connection.reset_on_close();
                        break Outcome::Over(End { remote: false, busy: false });
                    }
                    After::Gone => break Outcome::Over(End { remote: true, busy: true }),
                }
            }
            Head::Http2 => break Outcome::Http2,
            Head::Rejected(rejected) => {
                exchange::reject(&mut connection, &rejected).await;
                connection.linger().await;
                break Outcome::Over(End { remote: false, busy: false });
            }
            Head::Closed { remote } => {
                connection.say_end();
                break Outcome::Over(End { remote, busy: false });
            }
        }
    };
    (connection, outcome)
}
