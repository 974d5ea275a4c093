//! Closes idle connections that nobody will use again: closed by the host, idle for too long, or too old. Each worker looks
//! after its own shelf a few times a second; a request that finds a dead connection first does not wait for that. After a new
//! snapshot it wakes the idle clients' connections, so that they let go of the old one. What is kept for reuse is thinned beside it.

use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::Instant;
use fuseboard_snapshot::Availability;

use super::connection::{ClosedBy, count_spent};
use super::pooled::Pooled;
use crate::clock;
use crate::live::ClusterView;
use crate::stream::Spent;
use crate::worker::Worker;

/// A host's close shows in the numbers at most this late.
const PERIOD: Duration = Duration::from_millis(200);

/// Runs as long as its worker.
pub(crate) async fn run(worker: Rc<Worker>) {
    let mut generation = worker.generation();
    loop {
        tokio::time::sleep(PERIOD).await;
        worker.buffers.thin();
        worker.rooms.thin();
        worker.stream_tasks.thin();
        let view = worker.view();
        if view.live.generation != generation {
            generation = view.live.generation;
            worker.deadlines.wake_all();
        }
        if view.live.clusters.is_empty() {
            continue;
        }
        let now = clock::now();
        for cluster in &view.live.clusters {
            reap(&worker, cluster, now);
        }
    }
}

/// Why a connection is closed.
enum Verdict {
    Spent(Spent),
    Idle,
    Aged,
    /// While it was busy its host left, or its cluster's rule began to ask for another kind of connection.
    Gone,
}

fn reap(worker: &Worker, cluster: &ClusterView, now: Instant) {
    let policy = &cluster.config.connection;
    let withheld = cluster.config.availability != Availability::Serving;
    let judge = |connection: &mut Pooled, since: Instant| {
        let outdated = withheld || !connection.is_secured_for(cluster);
        if outdated || connection.host().is_gone() {
            Some(Verdict::Gone)
        } else if policy.idle_timeout.is_some_and(|timeout| now.saturating_since(since) >= timeout) {
            Some(Verdict::Idle)
        } else if connection.is_aged(policy, now) {
            Some(Verdict::Aged)
        } else {
            connection.spent().map(Verdict::Spent)
        }
    };
    for tier in cluster.live.tiers() {
        for (connection, verdict) in tier.pool.take_judged(worker.id, judge) {
            let stats = &cluster.live.stats.shard(worker.index).stats;
            let by = match verdict {
                Verdict::Spent(spent) => count_spent(stats, spent),
                Verdict::Gone => ClosedBy::Local,
                Verdict::Idle => {
                    stats.upstream_cx_idle_timeout.inc();
                    ClosedBy::Local
                }
                Verdict::Aged => {
                    stats.upstream_cx_max_duration_reached.inc();
                    ClosedBy::Local
                }
            };
            connection.close(stats, by, now);
        }
    }
}
