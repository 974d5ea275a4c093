//! The last events of all clusters, numbered, for those who follow them. Written when something happens, which is rare or paced where
//! it is decided; requests never see it. How an event looks is `fuseboard_admin::events`'.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fuseboard_admin::events::{EventRecord, Position};
use fuseboard_admin::status::HistoryRecord;
use fuseboard_snapshot::ServiceName;
use tokio::sync::watch;

/// Older events make room for newer ones; some hundred bytes each.
const CAPACITY: usize = 2048;

/// A ring of events. Followers read from it at their own pace: nothing is kept for each of them.
#[derive(Debug)]
pub struct EventRing {
    /// Of this run: positions of another one mean nothing here.
    run: u64,
    kept: Mutex<Kept>,
    /// The number of the newest.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    newest: u64,
    records: VecDeque<Arc<EventRecord>>,
}

/// What came after a position.
#[derive(Debug, Default)]
pub struct Later {
    /// Events after it that are not kept any more.
    pub lost: u64,
    /// The others, oldest first.
    pub records: Vec<Arc<EventRecord>>,
}

impl Default for EventRing {
    /// Of a run that begins now.
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::of_run(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}

impl EventRing {
    /// An empty ring of this run.
    pub fn of_run(run: u64) -> Self {
        Self { run, kept: Mutex::default(), newest: watch::Sender::new(0) }
    }

    /// The run whose positions it knows.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// Remembers an event, and tells those who follow.
    pub fn push(&self, cluster: &Arc<str>, service: &ServiceName, record: HistoryRecord) {
        let mut kept = self.lock();
        if kept.records.len() == CAPACITY {
            kept.records.pop_front();
        }
        kept.newest += 1;
        let number = kept.newest;
        let (cluster, service) = (Arc::clone(cluster), service.clone());
        kept.records.push_back(Arc::new(EventRecord { number, cluster, service, record }));
        drop(kept);
        // Two writers may come here in the other order.
        self.newest.send_modify(|newest| *newest = number.max(*newest));
    }

    /// Where it is now.
    pub fn position(&self) -> Position {
        Position { run: self.run, number: self.lock().newest }
    }

    /// Up to `most` of those after event `number`.
    pub fn after(&self, number: u64, most: usize) -> Later {
        let kept = self.lock();
        let Some(oldest) = kept.records.front().map(|record| record.number) else { return Later::default() };
        let lost = (oldest - 1).saturating_sub(number);
        let skip = usize::try_from((number + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        Later { lost, records: kept.records.iter().skip(skip).take(most).cloned().collect() }
    }

    /// Hears of each newer event.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use fuseboard_admin::status::HistoryEvent;

    use super::*;

    fn push(ring: &EventRing, events: u64) {
        let service = ServiceName {
            host: "a".into(),
            port: 80,
            name: "a".into(),
            namespace: "".into(),
            subset: "".into(),
        };
        for _ in 0..events {
            let event = HistoryEvent::Returned { address: ([127, 0, 0, 1], 80).into() };
            ring.push(&"a".into(), &service, HistoryRecord { at: UNIX_EPOCH, event });
        }
    }

    #[test]
    fn what_is_not_kept_any_more_is_counted_and_the_rest_comes_in_order() {
        let ring = EventRing::of_run(1);
        assert_eq!((ring.after(0, 9).lost, ring.after(7, 9).records.len()), (0, 0));
        push(&ring, 3);
        let numbers = |later: &Later| later.records.iter().map(|record| record.number).collect::<Vec<_>>();
        assert_eq!(numbers(&ring.after(0, 9)), [1, 2, 3]);
        assert_eq!(numbers(&ring.after(1, 1)), [2]);
        assert_eq!((ring.after(3, 9).lost, numbers(&ring.after(3, 9))), (0, vec![]));
        assert!(numbers(&ring.after(u64::MAX - 1, 9)).is_empty());
        push(&ring, CAPACITY as u64);
        assert_eq!(ring.position(), Position { run: 1, number: CAPACITY as u64 + 3 });
        assert_eq!((ring.after(1, 9).lost, numbers(&ring.after(1, 2))), (2, vec![4, 5]));
        assert_eq!(ring.after(3, 9).lost, 0);
        assert_eq!(*ring.subscribe().borrow(), CAPACITY as u64 + 3);
    }
}
