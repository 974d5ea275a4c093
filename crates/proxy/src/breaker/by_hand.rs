//! Overrides by hand: carries out what somebody ordered over the admin server. A cluster without a breaker gets one that does nothing
//! else, for as long as the override lasts; no other cluster notices. That the override ends is decided in `core::breaker`, by each
//! call and by the control thread, whatever becomes of whoever ordered it.

use std::sync::Arc;

use fuseboard_admin::logging::logger;
use fuseboard_admin::orders::{Action, Order, Outcome};
use fuseboard_admin::status::OverrideEnd;
use fuseboard_core::Instant;
use fuseboard_core::breaker::Override;
use tracing::{info, warn};

use super::LiveBreaker;
use crate::clock;
use crate::live::{ClusterView, LiveSnapshot};
use crate::shared::Shared;

impl Shared {
    /// Does what was ordered, for every call that begins after this returns.
    pub(crate) fn carry_out(&self, order: &Order) -> Outcome {
        let outcome = {
            let _only_writer = self.registry.control();
            let (live, now) = (self.registry.current(), clock::now());
            match live.position(&order.cluster) {
                Some(position) => self.carry_out_at(position, &live.clusters[position], order, now),
                None => Outcome::UnknownCluster,
            }
        };
        if outcome == Outcome::Done {
            match order.action {
                Action::Force(..) => warn!(target: logger::ADMIN, "{}", order.sentence()),
                Action::Reset => info!(target: logger::ADMIN, "{}", order.sentence()),
            }
            // What runs out next has changed.
            self.applied.notify_one();
        }
        outcome
    }

    fn carry_out_at(&self, position: usize, view: &ClusterView, order: &Order, now: Instant) -> Outcome {
        let before = view.breaker.as_ref().and_then(|breaker| breaker.machine().forced(now));
        if let Some(before) = before {
            let how = match order.action {
                Action::Force(..) => OverrideEnd::Replaced,
                Action::Reset => OverrideEnd::Reset,
            };
            view.live.override_ended(&before, how, now);
        }
        let (breaker, transitions) = match (order.action, &view.breaker) {
            (Action::Force(force, time), running) => {
                let new = || Arc::new(LiveBreaker::by_hand(&view.config, now));
                let breaker = running.clone().unwrap_or_else(new);
                let (reason, by) = (Arc::clone(&order.reason), Arc::clone(&order.by));
                let order = Override { force, until: now + time, reason, by };
                let transitions = breaker.machine().force(order, now);
                (breaker, transitions)
            }
            (Action::Reset, Some(running)) => {
                (Arc::clone(running), running.machine().reset(Arc::clone(&order.reason), now))
            }
            (Action::Reset, None) => return Outcome::Nothing,
        };
        view.live.on_transitions(&breaker, &transitions, view.live.stats.control());
        let wanted = (!breaker.is_idle(now)).then_some(breaker);
        if wanted.is_some() != view.breaker.is_some() {
            self.replace_breakers(vec![(position, wanted)]);
        }
        Outcome::Done
    }

    /// Removes the breakers that were there for overrides that have ended. The caller holds the registry's control lock.
    pub(crate) fn drop_idle_breakers(&self, live: &LiveSnapshot, now: Instant) {
        let is_idle = |view: &ClusterView| view.breaker.as_ref().is_some_and(|breaker| breaker.is_idle(now));
        let idle = live.clusters.iter().enumerate().filter(|(_, view)| is_idle(view));
        let idle: Vec<_> = idle.map(|(position, _)| (position, None)).collect();
        if !idle.is_empty() {
            self.replace_breakers(idle);
        }
    }

    fn replace_breakers(&self, breakers: Vec<(usize, Option<Arc<LiveBreaker>>)>) {
        self.registry.set_breakers(breakers);
        self.snapshots.send_replace(());
    }
}
