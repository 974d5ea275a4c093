//! What a worker does for its breakers between calls: it counts those in flight that have become slow, and hands over the outcomes
//! that it kept. Without a breaker in the snapshot it sleeps until the next one.

use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::Instant;

use crate::clock;
use crate::worker::{Worker, WorkerCluster};

/// Outcomes that were kept show in the numbers at most this late.
const LONGEST: Duration = Duration::from_millis(100);

/// The timer's resolution.
const SHORTEST: Duration = Duration::from_millis(1);

/// Runs as long as its worker.
pub(crate) async fn run(worker: Rc<Worker>) {
    let mut applied = worker.shared.snapshots.subscribe();
    loop {
        applied.borrow_and_update();
        let view = worker.view();
        let now = clock::now();
        let pause = view.breakers().map(|cluster| sweep(&worker, cluster, now)).min();
        drop(view);
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            // The sender lives as long as the worker.
            None => drop(applied.changed().await),
        }
    }
}

/// Looks at the breakers of one cluster; says when to look again.
fn sweep(worker: &Worker, cluster: &WorkerCluster, now: Instant) -> Duration {
    let slow = cluster.view.config.breaker.as_ref().and_then(|rule| rule.policy.trip.slow);
    // A call that begins while we sleep is not slow before we wake.
    let bound = slow.map_or(LONGEST, |slow| slow.slower_than.min(LONGEST));
    let mut next = bound;
    for breaker in cluster.breakers() {
        let transitions = breaker.recorder.sweep(now, &mut worker.rng.borrow_mut());
        worker.note_transitions(cluster, &breaker.live, &transitions);
        if let Some(deadline) = breaker.recorder.deadline() {
            next = next.min(deadline.saturating_since(now));
        }
    }
    next.clamp(SHORTEST, bound.max(SHORTEST))
}
