//! The step into the limits: a slot, a place in the queue, or a refusal that names its limit.

use std::future::poll_fn;
use std::task::Poll;

use fuseboard_core::balance::Outlook;
use fuseboard_core::breaker::Refusal;
use fuseboard_core::limit::{Admission, Kind, PoolsFull, Refused, Slot, Waiter};
use fuseboard_core::refusal::RefusalReason;

use super::breaker::{Checked, check};
use super::route::Routed;
use super::{Ended, Exchange, Interrupt};
use crate::clock;
use crate::deadline::Timer;
use crate::live::Tier;
use crate::local_reply::Cause;
use crate::worker::WorkerCluster;

impl Exchange<'_> {
    /// Waits for the right to have one request on one connection. Upgrades never wait: they would keep their place for life.
    /// `checked`: what the breaker said of this try when it was decided upon.
    pub(super) async fn admit<'t>(
        &mut self,
        routed: &Routed,
        tier: &'t Tier,
        checked: Option<Checked>,
    ) -> Result<(Slot<'t>, Checked), Ended> {
        let checked = self.may_be_admitted(routed, checked)?;
        self.kind = self.kind_for(&routed.cluster.view.config.http);
        let slot = if self.upgrade_offered() {
            tier.limits.admit_now(self.worker.id, self.kind).map_err(|refused| self.refused(refused))?
        } else {
            match tier.limits.admit(self.worker.id, self.kind) {
                Admission::Admitted(slot) => slot,
                Admission::Refused(refused) => return Err(self.refused(refused)),
                Admission::Queued(waiter) => self.queue(routed, tier, waiter).await?,
            }
        };
        Ok((slot, checked))
    }

    /// Whether the client offers to switch protocols, and the host can: streams of HTTP/2 cannot.
    pub(super) fn upgrade_offered(&self) -> bool {
        self.kind == Kind::Connection && self.head().upgrade().is_some()
    }

    /// Whether it makes sense to ask the limits: the breaker lets it pass, and there is somebody to send to.
    fn may_be_admitted(&mut self, routed: &Routed, checked: Option<Checked>) -> Result<Checked, Ended> {
        let cluster = self.usable(routed)?;
        let checked = match checked {
            Some(checked) => checked,
            None => {
                check(&cluster, self.now).map_err(|refusal| self.refused_by_breaker(&cluster, refusal))?
            }
        };
        match self.outlook(&cluster) {
            Outlook::Hosts => Ok(checked),
            Outlook::Refused(refusal) => Err(self.nobody(&cluster, Some(refusal))),
            Outlook::NoneHealthy => Err(self.nobody(&cluster, None)),
        }
    }

    fn outlook(&self, cluster: &WorkerCluster) -> Outlook {
        cluster.balancer.borrow_mut().outlook(self.now, &mut self.worker.rng.borrow_mut())
    }

    /// The answer where nobody can be sent to. `refusal`: because of the breakers of the endpoints.
    pub(super) fn nobody(&mut self, cluster: &WorkerCluster, refusal: Option<Refusal>) -> Ended {
        if let Some(refusal) = refusal {
            return self.refused_by_breaker(cluster, refusal);
        }
        self.account.cluster_stats(&self.worker, |block| block.stats.upstream_cx_none_healthy.inc());
        self.note_refusal(RefusalReason::NoHealthy, None);
        Ended::Failed(Cause::NoHealthyHost)
    }

    /// The slot goes back, and the host hears nothing of it.
    pub(super) fn pools_full(&mut self, full: PoolsFull) -> Ended {
        self.account.cluster_stats(&self.worker, |block| block.stats.upstream_cx_pool_overflow.inc());
        self.note_refusal(RefusalReason::LimitPools, Some(full.into()));
        Ended::Failed(Cause::PoolLimit)
    }

    fn refused(&mut self, refused: Refused) -> Ended {
        self.account.cluster_stats(&self.worker, |block| {
            if refused.connections_full {
                block.stats.upstream_cx_overflow.inc();
            }
            match refused.reason {
                RefusalReason::LimitQueueFull => block.stats.upstream_rq_pending_overflow.inc(),
                RefusalReason::LimitRequests => block.stats.upstream_rq_active_overflow.inc(),
                _ => {}
            }
        });
        self.note_refusal(refused.reason, Some(refused));
        Ended::Failed(Cause::of_refusal(refused.reason))
    }

    async fn queue<'t>(
        &mut self,
        routed: &Routed,
        tier: &'t Tier,
        mut waiter: Waiter<'t>,
    ) -> Result<Slot<'t>, Ended> {
        self.account.cluster_stats(&self.worker, |block| {
            block.stats.upstream_rq_pending_total.inc();
            if waiter.connections_full() {
                block.stats.upstream_cx_overflow.inc();
            }
        });
        let queue_timeout = routed.cluster.view.config.queue_timeout;
        if let Some(timeout) = queue_timeout {
            self.down.timers.arm(Timer::Queue, self.now + timeout);
        }
        let granted = poll_fn(|cx| match waiter.poll_slot(cx) {
            Poll::Ready(granted) => Poll::Ready(Ok(granted)),
            Poll::Pending => self.poll_interrupt(cx).map(Err),
        })
        .await;
        self.down.timers.disarm(Timer::Queue);
        // Whatever comes next happens later than the request came.
        self.now = clock::now();
        let interrupt = match granted {
            Ok(Ok(slot)) => return Ok(slot),
            Ok(Err(_dismissed)) => {
                let cluster = self.usable(routed)?;
                let refusal = match self.outlook(&cluster) {
                    Outlook::Refused(refusal) => Some(refusal),
                    Outlook::Hosts | Outlook::NoneHealthy => None,
                };
                return Err(self.nobody(&cluster, refusal));
            }
            Err(interrupt) => interrupt,
        };
        // Leaves the queue before anything is answered, so that its place is free when the client comes again.
        drop(waiter);
        self.account.cluster_stats(&self.worker, |block| block.stats.upstream_rq_cancelled.inc());
        Err(match interrupt {
            Interrupt::Timer(Timer::Queue) => self.waited_too_long(tier, queue_timeout),
            interrupt => self.interrupted(interrupt),
        })
    }

    /// The queue time-out, in milliseconds, is the bound; the value is the queue's length.
    fn waited_too_long(&mut self, tier: &Tier, timeout: Option<std::time::Duration>) -> Ended {
        let pending = tier.limits.view().pending;
        self.account.cluster_stats(&self.worker, |block| block.own.upstream_rq_queue_timeout.inc());
        let refused = Refused {
            reason: RefusalReason::LimitQueueTimeout,
            bound: timeout.map_or(0, |timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)),
            value: u32::try_from(self.now.saturating_since(self.account.started).as_millis())
                .unwrap_or(u32::MAX),
            waiting: pending,
            connections_full: false,
        };
        self.note_refusal(refused.reason, Some(refused));
        Ended::Failed(Cause::QueueTimeout)
    }

    /// What an interrupt of any other wait comes to.
    pub(super) fn interrupted(&mut self, interrupt: Interrupt) -> Ended {
        match interrupt {
            Interrupt::Gone => Ended::Gone,
            Interrupt::Timer(Timer::Try) => Ended::Failed(Cause::TryTimeout),
            Interrupt::Timer(Timer::Connect) => Ended::Failed(Cause::ConnectTimeout),
            Interrupt::Timer(Timer::RequestBody) => {
                self.down.stats().http.downstream_rq_idle_timeout.inc();
                Ended::Failed(Cause::BodyTimeout)
            }
            // Who does not take what was begun takes no answer of ours either.
            Interrupt::Timer(Timer::Answer) => {
                self.down.stats().http.downstream_rq_idle_timeout.inc();
                Ended::Broken(Cause::AnswerTimeout)
            }
            Interrupt::Timer(Timer::Stream) if !self.body.decoder.is_complete() => {
                Ended::Failed(Cause::MaxDurationInRequest)
            }
            Interrupt::Timer(Timer::Stream) => Ended::Failed(Cause::MaxDuration),
            Interrupt::Timer(_) => Ended::Failed(Cause::RouteTimeout),
        }
    }
}
