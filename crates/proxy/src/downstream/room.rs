//! Rooms in which the requests of connections of HTTP/1.1 are served. A running exchange takes some KB, and were these the connection's
//! own, idle connections would hold what they do not use. A worker has as many as requests run at a time, and the one that was used
//! last is used next.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use fuseboard_http1::RequestSummary;

use super::Downstream;
use crate::exchange::{self, After};
use crate::free_list::FreeList;

/// The rooms of one worker that nobody is in.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    free: RefCell<FreeList<Room>>,
}

impl Rooms {
    /// Serves the request whose head is at the front of the input.
    pub(super) async fn serve(
        &self,
        connection: Box<Downstream>,
        request: RequestSummary,
        head_length: usize,
    ) -> Served {
        let free = self.free.borrow_mut().take();
        let mut room = free.unwrap_or_else(Room::new);
        room.table.asked.set(Some(Asked { connection, request, head_length }));
        let served = poll_fn(|cx| room.poll_served(cx)).await;
        self.free.borrow_mut().give(room);
        served
    }

    /// Drops half of those that nobody has needed since the last time. To be called a few times a second.
    pub(crate) fn thin(&self) {
        self.free.borrow_mut().thin();
    }
}

/// A request to be served.
struct Asked {
    connection: Box<Downstream>,
    request: RequestSummary,
    head_length: usize,
}

/// A connection whose request was served.
pub(super) type Served = (Box<Downstream>, After);

/// What goes into a room and comes out of it.
#[derive(Default)]
struct Table {
    asked: Cell<Option<Asked>>,
    served: Cell<Option<Served>>,
}

/// The room for one exchange at a time. Dropped with one in it, it ends that as any other end would, and the connection too.
struct Room {
    table: Rc<Table>,
    exchanges: Pin<Box<dyn Future<Output = Infallible>>>,
}

impl Room {
    fn new() -> Self {
        let table = Rc::<Table>::default();
        let exchanges = Box::pin(exchanges(Rc::clone(&table)));
        Self { table, exchanges }
    }

    fn poll_served(&mut self, cx: &mut Context<'_>) -> Poll<Served> {
        let Poll::Pending = self.exchanges.as_mut().poll(cx);
        self.table.served.take().map_or(Poll::Pending, Poll::Ready)
    }
}

async fn exchanges(table: Rc<Table>) -> Infallible {
    loop {
        let asked = poll_fn(|_| table.asked.take().map_or(Poll::Pending, Poll::Ready)).await;
        let Asked { mut connection, request, head_length } = asked;
        let after = exchange::run(&mut connection, request, head_length).await;
        table.served.set(Some((connection, after)));
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
