//! The last refusals, each with the limit, its numbers and the rule that set it. The lock is taken only when refusing;
//! requests that pass never see this file. Which reason a failure has is `local_reply`'s.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fuseboard_admin::status::RefusalRecord;
use fuseboard_core::Instant;
use fuseboard_core::limit::Refused;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Cluster, Origin, Setting};

use crate::clock;
use crate::worker::{Worker, WorkerCluster};

/// Older records make room for newer ones; about 200 bytes each.
const CAPACITY: usize = 4096;

/// The last refusals of all workers.
#[derive(Debug, Default)]
pub(crate) struct RefusalRing(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    kept: VecDeque<RefusalRecord>,
    /// When the newest of those happened that are no longer kept.
    lost: Option<SystemTime>,
}

impl RefusalRing {
    /// Remembers one refusal.
    pub(crate) fn push(&self, record: RefusalRecord) {
        let mut records = self.lock();
        if records.kept.len() == CAPACITY {
            records.lost = records.kept.pop_front().map(|oldest| oldest.at);
        }
        records.kept.push_back(record);
    }

    /// Those since a moment, oldest first.
    pub(crate) fn since(&self, since: SystemTime) -> Vec<RefusalRecord> {
        self.lock().kept.iter().filter(|record| record.at >= since).cloned().collect()
    }

    /// Whether records since a moment had to make room.
    pub(crate) fn has_lost_since(&self, since: SystemTime) -> bool {
        self.lock().lost.is_some_and(|lost| lost >= since)
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Remembers that a limit of the cluster, its breaker or the want of a host decided at `now`, and what the caller sees of it: a
/// status (0 where there is none) and a flag.
pub(crate) fn remember(
    worker: &Worker,
    cluster: &WorkerCluster,
    listener: &Arc<str>,
    (reason, refused): (RefusalReason, Option<Refused>),
    (status, flag): (u16, &'static str),
    now: Instant,
) {
    let config = &cluster.view.config;
    if cluster.view.live.note_refusal(reason, refused.map(|refused| refused.bound), now) {
        worker.shared.applied.notify_one();
    }
    let breaker = reason.is_of_breaker().then(|| cluster.view.refusing(now)).flatten();
    let trip = breaker.and_then(|breaker| breaker.trip());
    let trip_setting = trip.as_ref().and_then(|trip| trip.setting);
    worker.shared.refusals.push(RefusalRecord {
        at: clock::wall(now),
        cluster: Some(Arc::clone(&config.name)),
        listener: Arc::clone(listener),
        reason,
        status,
        flag,
        setting: Setting::deciding(reason).map(Setting::field).or(trip_setting),
        bound: refused.map(|refused| refused.bound),
        value: refused.map(|refused| refused.value),
        queue: refused.map_or(0, |refused| refused.waiting),
        rule: rule_of(reason, config).or_else(|| trip.as_ref()?.rule.clone()),
        trip: trip.map(|trip| Arc::clone(&trip.words)),
    });
}

/// Where the setting of a reason is written; `None`: it is a default, or no setting is involved.
fn rule_of(reason: RefusalReason, cluster: &Cluster) -> Option<Arc<Origin>> {
    cluster.provenance.get(Setting::deciding(reason)?).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn record(at: SystemTime) -> RefusalRecord {
        RefusalRecord {
            at,
            cluster: None,
            listener: Arc::from("l"),
            reason: RefusalReason::LimitQueueFull,
            status: 503,
            flag: "UO",
            setting: None,
            bound: None,
            value: None,
            queue: 0,
            rule: None,
            trip: None,
        }
    }

    #[test]
    fn the_oldest_records_make_room_for_the_newest() {
        let ring = RefusalRing::default();
        let start = SystemTime::UNIX_EPOCH;
        for second in 0..=CAPACITY as u64 {
            ring.push(record(start + Duration::from_secs(second)));
        }
        let kept = ring.since(start);
        assert_eq!(kept.len(), CAPACITY);
        assert_eq!(kept[0].at, start + Duration::from_secs(1));
        assert_eq!(ring.since(start + Duration::from_secs(CAPACITY as u64)).len(), 1);
        assert!(ring.has_lost_since(start) && !ring.has_lost_since(start + Duration::from_secs(1)));
    }
}
