//! Overrides by hand: carries out what somebody ordered over the admin server. A cluster or an endpoint without a breaker gets one
//! that does nothing else, for as long as the override lasts; no other cluster notices. That the override ends is decided in
//! `core::breaker`, by each call and by the control thread, whatever becomes of whoever ordered it.

use std::net::SocketAddr;
use std::sync::Arc;

use fuseboard_admin::logging::logger;
use fuseboard_admin::orders::{Action, Order, Outcome};
use fuseboard_admin::status::OverrideEnd;
use fuseboard_core::Instant;
use fuseboard_core::breaker::Override;
use tracing::{info, warn};

use super::LiveBreaker;
use crate::clock;
use crate::live::{Breakers, ClusterView, LiveSnapshot};
use crate::shared::Shared;

impl Shared {
    /// Does what was ordered, for every call that begins after this returns.
    pub(crate) fn carry_out(&self, order: &Order) -> Outcome {
        let outcome = {
            let _only_writer = self.registry.control();
            let (live, now) = (self.registry.current(), clock::now());
            match (live.position(&order.cluster), order.endpoint) {
                (Some(position), None) => self.carry_out_at(position, &live.clusters[position], order, now),
                (Some(position), Some(address)) => {
                    self.carry_out_at_endpoint(position, &live.clusters[position], address, order, now)
                }
                (None, _) => Outcome::UnknownCluster,
            }
        };
        if matches!(outcome, Outcome::Done | Outcome::Returned) {
            match order.action {
                Action::Force(..) => warn!(target: logger::ADMIN, "{}", order.sentence()),
                Action::Reset => info!(target: logger::ADMIN, "{}", order.sentence()),
            }
            // What runs out next has changed.
            self.applied.notify_one();
        }
        outcome
    }

    /// For all calls of a cluster; a reset is for its endpoints' breakers, too.
    fn carry_out_at(&self, position: usize, view: &ClusterView, order: &Order, now: Instant) -> Outcome {
        match (order.action, &view.breaker) {
            (Action::Force(..), Some(running)) => carry_out_by(view, running, order, now),
            (Action::Force(..), None) => {
                let breaker = Arc::new(LiveBreaker::by_hand(&view.config, None, now));
                carry_out_by(view, &breaker, order, now);
                self.replace_breakers(vec![(position, Breakers { whole: Some(breaker), ..view.breakers() })]);
            }
            (Action::Reset, whole) => {
                let of_hosts = view.host_breakers.iter().filter(|breaker| !breaker.is_idle(now));
                let running: Vec<_> = whole.iter().chain(of_hosts).collect();
                if running.is_empty() {
                    return Outcome::Nothing;
                }
                for breaker in running {
                    carry_out_by(view, breaker, order, now);
                }
                self.drop_idle_breakers(&self.registry.current(), now);
            }
        }
        Outcome::Done
    }

    fn carry_out_at_endpoint(
        &self,
        position: usize,
        view: &Arc<ClusterView>,
        address: SocketAddr,
        order: &Order,
        now: Instant,
    ) -> Outcome {
        let is_meant = |index: &usize| view.hosts[*index].endpoint.address == address;
        let meant: Vec<usize> = (0..view.hosts.len()).filter(is_meant).collect();
        if meant.is_empty() {
            return Outcome::UnknownEndpoint;
        }
        let forces = order.action != Action::Reset;
        let view = if forces { self.with_host_breakers(position, view, now) } else { Arc::clone(view) };
        let mut outcome = Outcome::Nothing;
        for index in meant {
            let breaker = view.host_breakers.get(index).filter(|breaker| forces || !breaker.is_idle(now));
            if let Some(breaker) = breaker {
                carry_out_by(&view, breaker, order, now);
                if outcome == Outcome::Nothing {
                    outcome = Outcome::Done;
                }
            }
            if !forces && view.live.return_host(&view.hosts[index], now) {
                outcome = Outcome::Returned;
            }
        }
        if view.is_deserted(now) {
            view.live.dismiss_waiters();
        }
        self.drop_idle_breakers(&self.registry.current(), now);
        outcome
    }

    /// The cluster with a breaker for each host. Workers see them before one of them keeps anybody out.
    fn with_host_breakers(&self, position: usize, view: &Arc<ClusterView>, now: Instant) -> Arc<ClusterView> {
        if !view.host_breakers.is_empty() {
            return Arc::clone(view);
        }
        let breaker = |host| Arc::new(LiveBreaker::by_hand(&view.config, Some(host), now));
        let hosts = view.hosts.iter().map(breaker).collect();
        self.replace_breakers(vec![(position, Breakers { hosts, ..view.breakers() })]);
        Arc::clone(&self.registry.current().clusters[position])
    }

    /// Removes the breakers that were there for overrides that have ended. The caller holds the registry's control lock.
    pub(crate) fn drop_idle_breakers(&self, live: &LiveSnapshot, now: Instant) {
        let left = |(position, view): (usize, &Arc<ClusterView>)| {
            let is_idle = |breaker: &Arc<LiveBreaker>| breaker.is_idle(now);
            let drops_whole = view.breaker.as_ref().is_some_and(is_idle);
            let drops_hosts = !view.host_breakers.is_empty() && view.host_breakers.iter().all(is_idle);
            (drops_whole || drops_hosts).then(|| {
                let whole = view.breaker.clone().filter(|_| !drops_whole);
                let hosts = if drops_hosts { Vec::new() } else { view.host_breakers.clone() };
                (position, Breakers { whole, hosts })
            })
        };
        let changed: Vec<_> = live.clusters.iter().enumerate().filter_map(left).collect();
        if !changed.is_empty() {
            self.replace_breakers(changed);
        }
    }

    fn replace_breakers(&self, breakers: Vec<(usize, Breakers)>) {
        self.registry.set_breakers(breakers);
        self.snapshots.send_replace(());
    }
}

/// One breaker does what was ordered; what was in force before is over.
fn carry_out_by(view: &ClusterView, breaker: &LiveBreaker, order: &Order, now: Instant) {
    if let Some(before) = breaker.machine().forced(now) {
        let how = match order.action {
            Action::Force(..) => OverrideEnd::Replaced,
            Action::Reset => OverrideEnd::Reset,
        };
        view.live.override_ended(breaker, &before, how, now);
    }
    let (reason, by) = (Arc::clone(&order.reason), Arc::clone(&order.by));
    let transitions = match order.action {
        Action::Force(force, time) => {
            breaker.machine().force(Override { force, until: now + time, reason, by }, now)
        }
        Action::Reset => breaker.machine().reset(reason, now),
    };
    view.live.on_transitions(breaker, &transitions, view.live.stats.control());
}
