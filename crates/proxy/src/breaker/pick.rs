//! The step from a cluster to one of its hosts: whom the balancer chooses, if the host has no breaker of its own or that lets the try
//! through. The same for requests and for TCP connections.

use fuseboard_core::Instant;
use fuseboard_core::balance::Taken;
use fuseboard_core::breaker::Ticket;

use crate::exchange::held::Guard;
use crate::worker::{Worker, WorkerCluster};

/// A host for a try. Hosts that refuse leave it to others; those that were `tried` come last.
pub(crate) fn pick<'t>(
    worker: &Worker,
    cluster: &'t WorkerCluster,
    tried: impl Fn(usize) -> bool,
    attempts: u32,
    now: Instant,
) -> Taken<Option<Guard<'t>>> {
    let mut changes = Vec::new();
    let taken = {
        let (balancer, rng) = (&mut cluster.balancer.borrow_mut(), &mut worker.rng.borrow_mut());
        balancer.pick_willing(tried, attempts, now, rng, |index, rng| {
            let Some(breaker) = cluster.endpoint_breaker(index) else { return Ok(None) };
            let (ticket, transitions) = breaker.recorder.admit(now, rng);
            if !transitions.is_empty() {
                changes.push((&breaker.live, transitions));
            }
            Ok(Some((&*breaker.live, ticket?)))
        })
    };
    for (breaker, transitions) in changes {
        worker.note_transitions(cluster, breaker, &transitions);
    }
    let panic = match &taken {
        Taken::Host { panic, .. } | Taken::NoneHealthy { panic } => *panic,
        Taken::Refused(_) => false,
    };
    if panic {
        cluster.view.live.stats.shard(worker.index).stats.lb_healthy_panic.inc();
    }
    if let Taken::Host { ticket: Some((_, ticket)), .. } = &taken {
        note_probe(worker, cluster, ticket);
    }
    taken
}

/// Counts a try that is to show how the destination, or the host, is.
pub(crate) fn note_probe(worker: &Worker, cluster: &WorkerCluster, ticket: &Ticket<'_>) {
    if ticket.is_probe() {
        cluster.view.live.stats.shard(worker.index).breaker.probes.inc();
        // Its lease may be the next thing that runs out.
        worker.shared.applied.notify_one();
    }
}
