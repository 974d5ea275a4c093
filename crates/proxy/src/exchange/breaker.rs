//! The steps through breakers. That of a cluster is asked before queueing, and once more when there are a slot and a host; that of an
//! endpoint when the endpoint is chosen, and if it refuses, another endpoint is. A cluster without any is not asked.

use std::rc::Rc;
use std::time::Duration;

use fuseboard_core::Instant;
use fuseboard_core::balance::Taken;
use fuseboard_core::breaker::{Pass, Refusal};
use fuseboard_core::refusal::RefusalReason;

use super::held::Guard;
use super::retry::Retries;
use super::{Ended, Exchange};
use crate::breaker::{WorkerBreaker, note_probe, pick};
use crate::local_reply::Cause;
use crate::worker::WorkerCluster;

/// What the breaker said before queueing, and which breaker; nothing where there is none.
pub(super) struct Checked(Option<(Rc<WorkerBreaker>, Pass)>);

/// Whether a try may queue.
pub(super) fn check(cluster: &WorkerCluster, now: Instant) -> Result<Checked, Refusal> {
    let Some(breaker) = &cluster.breaker else { return Ok(Checked(None)) };
    let pass = breaker.recorder.check(now)?;
    Ok(Checked(Some((Rc::clone(breaker), pass))))
}

/// Whether a retry makes sense: the same, and one endpoint at least that might take it.
pub(super) fn check_retry(cluster: &WorkerCluster, now: Instant) -> Result<Checked, Refusal> {
    if !cluster.view.host_breakers.is_empty()
        && let Some(refusal) = cluster.view.host_set.refusal(now)
    {
        return Err(refusal);
    }
    check(cluster, now)
}

/// A host for a try.
pub(super) struct Picked<'t> {
    pub(super) index: usize,
    /// All hosts were candidates, healthy or not.
    pub(super) panic: bool,
    /// What its own breaker let the try through with.
    pub(super) guard: Option<Guard<'t>>,
}

impl Exchange<'_> {
    /// Whether a try may be sent: with a slot and a host at hand, but before anybody counts it. Another breaker than the one that was
    /// asked before, or the first one, comes with a new snapshot while the request waits.
    pub(super) fn take_ticket<'t>(
        &mut self,
        cluster: &'t WorkerCluster,
        checked: Checked,
    ) -> Result<Option<Guard<'t>>, Ended> {
        let Some(breaker) = &cluster.breaker else { return Ok(None) };
        let worker = Rc::clone(&self.worker);
        let (ticket, transitions) = {
            let rng = &mut worker.rng.borrow_mut();
            match checked.0.filter(|(asked, _)| Rc::ptr_eq(asked, breaker)) {
                Some((_, pass)) => breaker.recorder.ticket(pass, self.now, rng),
                None => breaker.recorder.admit(self.now, rng),
            }
        };
        worker.note_transitions(cluster, &breaker.live, &transitions);
        let ticket = ticket.map_err(|refusal| self.refused_by_breaker(cluster, refusal))?;
        note_probe(&worker, cluster, &ticket);
        Ok(Some((&breaker.live, ticket)))
    }

    /// A host whose breaker lets the try through. Hosts that refuse leave it to others.
    pub(super) fn pick<'t>(
        &mut self,
        cluster: &'t WorkerCluster,
        retries: &Retries<'_>,
    ) -> Result<Picked<'t>, Ended> {
        let hosts = &cluster.view.hosts;
        let tried = |index: usize| hosts.get(index).is_some_and(|host| retries.was_tried(host.key));
        match pick(&self.worker, cluster, tried, retries.host_attempts(), self.now) {
            Taken::Host { index, panic, ticket } => Ok(Picked { index, panic, guard: ticket }),
            Taken::Refused(refusal) => Err(self.nobody(cluster, Some(refusal))),
            Taken::NoneHealthy { .. } => Err(self.nobody(cluster, None)),
        }
    }

    /// The answer to who may not be sent there now.
    pub(super) fn refused_by_breaker(&mut self, cluster: &WorkerCluster, refusal: Refusal) -> Ended {
        let reason = RefusalReason::from(refusal.by);
        self.account.retry_after = Some(refusal.retry_after);
        cluster.view.live.stats.shard(self.worker.index).breaker.refused.inc();
        self.note_refusal(reason, None);
        Ended::Failed(Cause::of_refusal(reason))
    }

    /// A retry is not made, because it would be refused; what there was before it stands.
    pub(super) fn retry_refused_by_breaker(&mut self, refusal: Refusal) {
        self.account.cluster_stats(&self.worker, |block| block.breaker.refused.inc());
        self.note_refused_retry(refusal.by.into(), None);
    }
}

/// Whole seconds for `Retry-After`: not before the time is over, and never at once.
pub(super) fn retry_after_seconds(time: Duration) -> u64 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    seconds.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_before_the_time_is_over_is_never_asked_for() {
        for (millis, seconds) in [(0, 1), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (30_000, 30)] {
            assert_eq!(retry_after_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
