//! The client side of a connection: agrees on TLS where the listener has it, reads heads one after the other, hands each to an exchange, and ends the connection in
//! a way that its client can understand.

mod connection;
mod handshake;
mod head;
mod http2;
mod identity;
mod line;
mod upgrade;

use std::rc::Rc;

use crate::arrival::{Arrival, NoHeader};
use crate::clock;
use crate::exchange::{self, After};
use crate::http2::Upgrade;
use crate::upstream::millis;
use crate::worker::Worker;

pub(crate) use connection::{Downstream, Place, Spoken};
pub(crate) use head::{Head, Rejected};
pub(crate) use line::Line;

/// Serves one connection to its end.
pub(crate) async fn serve(worker: Rc<Worker>, arrival: Arrival) {
    let Arrival { stream, called, header, started, permit, seat, server_name: _ } = arrival;
    let place = Place::new(permit, Some(seat));
    let mut connection = Downstream::new(Line::Socket(stream), called, place, worker, started);
    connection.count_opened();
    let end = match header {
        Ok(proxied) => {
            connection.is_proxied = proxied;
            match connection.secure().await {
                Ok(()) if connection.spoken == Some(Spoken::Http2) => {
                    http2::serve(&mut connection, Vec::new()).await
                }
                Ok(()) => exchanges(&mut connection).await,
                Err(end) => end,
            }
        }
        Err(why) => {
            why.count(&connection.stats().own);
            End { remote: why == NoHeader::Gone, busy: false }
        }
    };
    connection.count_insecure();
    connection.count_closed(end, millis(clock::now().saturating_since(started)));
}

/// Who ended a downstream connection, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The client did.
    pub(crate) remote: bool,
    /// A request was in flight.
    pub(crate) busy: bool,
}

async fn exchanges(connection: &mut Downstream) -> End {
    loop {
        match connection.read_head().await {
            Head::Request(request, length) => {
                if let Some(upgrade) = connection.offered_upgrade(request, length) {
                    // Elsewhere: most connections never need the room.
                    return Box::pin(http2_from_now_on(connection, upgrade)).await;
                }
                match exchange::run(connection, request, length).await {
                    After::Next => {}
                    After::Close => {
                        connection.say_end();
                        return End { remote: false, busy: false };
                    }
                    After::Linger => {
                        connection.linger().await;
                        return End { remote: false, busy: false };
                    }
                    After::Reset => {
                        connection.reset_on_close();
                        return End { remote: false, busy: true };
                    }
                    After::Gone => return End { remote: true, busy: true },
                }
            }
            Head::Http2 => return http2::serve(connection, Vec::new()).await,
            Head::Rejected(rejected) => {
                exchange::reject(connection, &rejected).await;
                connection.linger().await;
                return End { remote: false, busy: false };
            }
            Head::Closed { remote } => {
                connection.say_end();
                return End { remote, busy: false };
            }
        }
    }
}

async fn http2_from_now_on(connection: &mut Downstream, upgrade: Upgrade) -> End {
    match connection.switch(&upgrade).await {
        Ok(ahead) => http2::serve(connection, ahead).await,
        Err(end) => end,
    }
}
