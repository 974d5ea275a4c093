//! Streams of events over the admin server, within its bounds: so many at a time, nothing kept for any of them but its place in the
//! ring, and a reader that takes nothing is cut off. How events look, and who wants which, is `fuseboard_admin::events`'.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fuseboard_admin::events::{self, Filter, Position};
use fuseboard_admin::{Page, Query};
use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{self, Instant};

use super::serve::Heard;
use crate::events::EventRing;

/// Streams at a time, of all connections.
const MAX_STREAMS: usize = 16;
/// Something comes at least so often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A reader that has taken nothing for so long is cut off: two signs of life were waiting for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);
/// Events that are read from the ring at once.
const BATCH: usize = 64;

/// The streams of one server.
#[derive(Debug)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

/// Until when a connection may live; a stream that is read extends it.
#[derive(Clone)]
pub(super) struct Life(watch::Sender<Instant>);

impl Life {
    pub(super) fn new(life: Duration) -> Self {
        Self(watch::Sender::new(Instant::now() + life))
    }

    /// Returns when it is over.
    pub(super) async fn over(&self) {
        loop {
            let end = *self.0.borrow();
            if end <= Instant::now() {
                return;
            }
            time::sleep_until(end).await;
        }
    }

    fn extend(&self) {
        self.0.send_replace(Instant::now() + PATIENCE);
    }
}

/// The body of a stream: one frame waits at most, and that hyper takes it shows that the reader takes what there is.
pub(super) struct EventBody {
    frames: mpsc::Receiver<Bytes>,
    heard: Heard,
    life: Life,
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = std::task::ready!(self.frames.poll_recv(cx));
        self.heard.now();
        self.life.extend();
        Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Streams {
    /// A stream of what `query` and the field `last-event-id` ask for. Fails with the page that says why not.
    pub(super) fn open(
        &self,
        ring: &Arc<EventRing>,
        query: &Query,
        headers: &HeaderMap,
        (heard, life): (Heard, Life),
    ) -> Result<EventBody, Page> {
        let filter = Filter::read(query)?;
        let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            Page::text_with(
                503,
                format!("{MAX_STREAMS} streams are open, which is as many as there may be\n"),
            )
        })?;
        let (sender, frames) = mpsc::channel(1);
        // What makes no sense is a position of no run.
        let position = |id: &str| Position::parse(id).unwrap_or(Position { run: 0, number: 0 });
        let from = headers.get("last-event-id").map(|id| position(id.to_str().unwrap_or_default()));
        let stream = Stream { ring: Arc::clone(ring), filter, sender, _permit: permit };
        tokio::spawn(stream.run(from));
        Ok(EventBody { frames, heard, life })
    }
}

/// What one reader is sent.
struct Stream {
    ring: Arc<EventRing>,
    filter: Filter,
    sender: mpsc::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
}

/// There is no reader any more.
struct Gone;

impl Stream {
    /// Ends when the reader does. `from`: the position that it named.
    async fn run(self, from: Option<Position>) {
        let mut news = self.ring.subscribe();
        let Ok(mut number) = self.begin(from).await else { return };
        loop {
            news.borrow_and_update();
            match self.send_later(number).await {
                Ok(sent) if sent > number => {
                    number = sent;
                    continue;
                }
                Ok(_) => {}
                Err(Gone) => return,
            }
            tokio::select! {
                () = self.sender.closed() => return,
                changed = news.changed() => if changed.is_err() { return },
                () = time::sleep(KEEP_ALIVE) => {
                    let position = Position { run: self.ring.run(), number };
                    if self.send(events::keep_alive(position)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Says where the stream begins: here, after the position that was named, or, for one of another run, with all that is kept.
    async fn begin(&self, from: Option<Position>) -> Result<u64, Gone> {
        let here = self.ring.position();
        let known = |position: &Position| position.run == here.run && position.number <= here.number;
        match from {
            None => self.send(events::hello(here)).await.map(|()| here.number),
            Some(position) if known(&position) => {
                self.send(events::hello(position)).await.map(|()| position.number)
            }
            Some(_) => {
                self.send(events::hello(Position { number: 0, ..here })).await?;
                self.send(events::gap(None)).await?;
                // What this run does not keep any more is in that gap too.
                let kept = self.ring.after(0, 1).records;
                Ok(kept.first().map_or(here.number, |record| record.number - 1))
            }
        }
    }

    /// Sends some of what came after `number`; says up to which.
    async fn send_later(&self, mut number: u64) -> Result<u64, Gone> {
        let later = self.ring.after(number, BATCH);
        if later.lost > 0 {
            self.send(events::gap(Some(later.lost))).await?;
        }
        for record in later.records {
            number = record.number;
            if self.filter.admits(&record) {
                self.send(record.frame(self.ring.run())).await?;
            }
        }
        Ok(number)
    }

    async fn send(&self, frame: String) -> Result<(), Gone> {
        self.sender.send(frame.into()).await.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use fuseboard_admin::status::{HistoryEvent, HistoryRecord};
    use fuseboard_snapshot::ServiceName;

    use super::*;

    async fn frame(body: &mut EventBody) -> String {
        let next = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
        let frame = time::timeout(Duration::from_secs(10), next).await.unwrap();
        let bytes = frame.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn happens(ring: &EventRing, times: u32) {
        let service = ServiceName {
            host: "a".into(),
            port: 80,
            name: "a".into(),
            namespace: "".into(),
            subset: "".into(),
        };
        for _ in 0..times {
            let event = HistoryEvent::Returned { address: ([127, 0, 0, 1], 80).into() };
            ring.push(&"a".into(), &service, HistoryRecord { at: std::time::UNIX_EPOCH, event });
        }
    }

    #[tokio::test]
    async fn nothing_is_kept_for_a_reader_that_takes_nothing_and_it_hears_what_it_lost() {
        let (ring, streams, life) =
            (Arc::new(EventRing::of_run(1)), Streams::default(), Life::new(Duration::ZERO));
        let mut body = streams
            .open(&ring, &Query::default(), &HeaderMap::new(), (Heard::default(), life.clone()))
            .unwrap();
        life.over().await;
        assert!(frame(&mut body).await.contains("event: hello"));
        assert!(time::timeout(Duration::ZERO, life.over()).await.is_err(), "whoever reads lives on");
        // One frame waits for the reader, and one in the hand of whoever sends it.
        for _ in 0..10 {
            happens(&ring, 1000);
            tokio::task::yield_now().await;
        }
        let mut seen = 0;
        while !frame(&mut body).await.contains("event: gap") {
            seen += 1;
        }
        assert!(seen <= BATCH, "{seen} were kept");
        assert_eq!(streams.0.available_permits(), MAX_STREAMS - 1);
        drop(body);
        let freed = async {
            while streams.0.available_permits() < MAX_STREAMS {
                tokio::task::yield_now().await;
            }
        };
        time::timeout(Duration::from_secs(10), freed).await.unwrap();
    }
}
