//! The breakers of a cluster and of its hosts: which of them live on under new settings, and who hears of what they do.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuseboard_admin::breakers::cause_words;
use fuseboard_admin::logging::logger;
use fuseboard_admin::status::{HistoryEvent, OverrideEnd};
use fuseboard_core::breaker::{BreakerPolicy, Cause, Override, State, Transition, Transitions};
use fuseboard_core::pool::HostKey;
use fuseboard_core::{Instant, Rng};
use fuseboard_snapshot::{BreakerScope, Cluster};
use tracing::{info, warn};

use super::{Host, LiveCluster};
use crate::breaker::{LiveBreaker, overrides_only};
use crate::clock;
use crate::stats::ClusterBlock;

/// The breakers that a view of a cluster has.
#[derive(Clone, Debug)]
pub(crate) struct Breakers {
    /// That of all calls.
    pub(crate) whole: Option<Arc<LiveBreaker>>,
    /// Those of the hosts, in their order, or none.
    pub(crate) hosts: Vec<Arc<LiveBreaker>>,
}

impl LiveCluster {
    /// The breaker of the whole cluster under these settings: the one that runs, with the new numbers, or a new one. One that they
    /// do not have is dropped, once no override holds it.
    pub(crate) fn breaker(
        &self,
        cluster: &Arc<Cluster>,
        running: Option<&Arc<LiveBreaker>>,
        now: Instant,
    ) -> Option<Arc<LiveBreaker>> {
        let rule = cluster.breaker.as_ref().filter(|rule| rule.scope == BreakerScope::Destination);
        match (rule, running) {
            (Some(rule), running) => Some(self.keep_or_make(cluster, None, &rule.policy, running, now)),
            (None, None) => None,
            (None, Some(running)) => {
                let transitions = running.disarm(cluster, now)?;
                self.on_transitions(running, &transitions, self.stats.control());
                Some(Arc::clone(running))
            }
        }
    }

    /// The breakers of `hosts`, in their order, if the settings have one for each, or an override holds one: those that run stay, by
    /// their host.
    pub(crate) fn host_breakers(
        &self,
        cluster: &Arc<Cluster>,
        hosts: &[Arc<Host>],
        running: &[Arc<LiveBreaker>],
        now: Instant,
    ) -> Vec<Arc<LiveBreaker>> {
        let mut running: HashMap<HostKey, &Arc<LiveBreaker>> =
            running.iter().filter_map(|breaker| Some((breaker.host()?.key, breaker))).collect();
        let rule = cluster.breaker.as_ref().filter(|rule| rule.scope == BreakerScope::Endpoint);
        let by_hand = overrides_only();
        let is_held = |host: &Arc<Host>| {
            running.get(&host.key).is_some_and(|breaker| breaker.machine().forced(now).is_some())
        };
        let policy = match rule {
            Some(rule) => Some(&rule.policy),
            None => hosts.iter().any(is_held).then_some(&by_hand),
        };
        let breaker = |host: &Arc<Host>| {
            let own = running.remove(&host.key);
            Some(self.keep_or_make(cluster, Some(host), policy?, own, now))
        };
        let breakers = hosts.iter().filter_map(breaker).collect();
        let let_pass = running.values().map(|breaker| breaker.view(now).would_have_refused).sum();
        self.let_pass_by_gone.fetch_add(let_pass, Ordering::Relaxed);
        // Other numbers may let somebody in, or shadows begin to act.
        self.epoch.advance();
        breakers
    }

    /// What breakers of hosts that are gone had let pass in shadow mode.
    pub(crate) fn let_pass_by_gone(&self) -> u64 {
        self.let_pass_by_gone.load(Ordering::Relaxed)
    }

    fn keep_or_make(
        &self,
        cluster: &Arc<Cluster>,
        host: Option<&Arc<Host>>,
        policy: &BreakerPolicy,
        running: Option<&Arc<LiveBreaker>>,
        now: Instant,
    ) -> Arc<LiveBreaker> {
        let Some(running) = running else {
            return Arc::new(LiveBreaker::new(cluster, host, policy.clone(), now));
        };
        let transitions = running.reconfigure(cluster, policy, now);
        if !transitions.is_empty() {
            self.on_transitions(running, &transitions, self.stats.control());
        }
        Arc::clone(running)
    }

    /// Counts in `block`, logs and remembers what a breaker did. Before this returns, all workers know of an endpoint's, and idle
    /// connections to one that is shut are closed.
    pub(crate) fn on_transitions(
        &self,
        breaker: &LiveBreaker,
        transitions: &Transitions,
        block: &ClusterBlock,
    ) {
        let host = breaker.host();
        if host.is_some() && transitions.iter().any(Transition::takes_effect) {
            self.epoch.advance();
        }
        breaker.remember(transitions);
        let endpoint = host.map(|host| host.endpoint.address);
        for transition in transitions {
            block.breaker.count(transition);
            log_transition(&self.name, endpoint, transition);
            self.tell(HistoryEvent::Breaker { endpoint, change: transition.clone() }, transition.at);
            match &transition.cause {
                Cause::Forced(order) => {
                    let time = order.until.saturating_since(transition.at);
                    let event = HistoryEvent::OverrideSet { endpoint, order: order.clone(), time };
                    self.tell(event, transition.at);
                }
                Cause::OverrideEnded(order) => {
                    self.override_ended(breaker, order, OverrideEnd::Expired, transition.at);
                }
                _ => {}
            }
        }
        let now = clock::now();
        if let Some(host) = host.filter(|_| breaker.is_shut(now)) {
            self.close_idle(host, &block.stats, now);
        }
    }

    /// Tells that an override is over.
    pub(crate) fn override_ended(
        &self,
        breaker: &LiveBreaker,
        order: &Override,
        how: OverrideEnd,
        now: Instant,
    ) {
        let endpoint = breaker.host().map(|host| host.endpoint.address);
        self.tell(HistoryEvent::OverrideEnded { endpoint, order: order.clone(), how }, now);
    }

    /// Ends what runs out by itself; says when the next thing does. Counts in the control block.
    pub(crate) fn tick(&self, breaker: &LiveBreaker, now: Instant, rng: &mut Rng) -> Option<Instant> {
        let machine = breaker.machine();
        if machine.deadline()? <= now {
            self.on_transitions(breaker, &machine.tick(now, rng), self.stats.control());
        }
        machine.deadline()
    }
}

fn log_transition(cluster: &str, endpoint: Option<SocketAddr>, transition: &Transition) {
    let whose = endpoint.map(|address| format!(" of {address}")).unwrap_or_default();
    let Transition { from, to, .. } = transition;
    let why = cause_words(&transition.cause);
    let shadow = if transition.shadow { " (shadow: nothing is refused)" } else { "" };
    if *to == State::Open {
        let time =
            transition.open_until.map_or(Duration::ZERO, |until| until.saturating_since(transition.at));
        warn!(target: logger::UPSTREAM, "{cluster}: breaker{whose} {from} -> open for {time:.1?}: {why}{shadow}");
    } else {
        info!(target: logger::UPSTREAM, "{cluster}: breaker{whose} {from} -> {to}: {why}{shadow}");
    }
}
