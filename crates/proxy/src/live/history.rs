//! What happened to one cluster lately: changes of its breaker and ejections of its hosts, the last few of them. Written when something
//! happens, which is rare; requests never see it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use fuseboard_admin::status::HistoryRecord;

/// Older records make room for newer ones.
const CAPACITY: usize = 128;

/// The last events of one cluster, oldest first. No memory before the first.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<HistoryRecord>>);

impl History {
    pub(crate) fn push(&self, record: HistoryRecord) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == CAPACITY {
            records.pop_front();
        }
        records.push_back(record);
    }

    pub(crate) fn records(&self) -> Vec<HistoryRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use fuseboard_admin::status::HistoryEvent;

    use super::*;

    #[test]
    fn the_oldest_records_make_room_for_the_newest() {
        let history = History::default();
        for second in 0..=CAPACITY as u64 {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            history.push(HistoryRecord {
                at,
                event: HistoryEvent::Returned { address: ([127, 0, 0, 1], 80).into() },
            });
        }
        let records = history.records();
        assert_eq!(
            (records.len(), records[0].at),
            (CAPACITY, SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        );
    }
}
