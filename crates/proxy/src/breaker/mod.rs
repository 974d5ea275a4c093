//! The breaker of a cluster, or of one of its endpoints, as it runs: one machine for all workers, a way in for each of them, and
//! what is remembered of its trips. When it opens and closes is `core::breaker`'s decision; asking it is the exchange's business.

mod by_hand;
mod endpoints;
mod pick;
mod sweep;

use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use fuseboard_admin::breakers::cause_words;
use fuseboard_admin::status::BreakerStatus;
use fuseboard_core::Instant;
use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, BreakerView, Mode, Recorder, State, Transition, Transitions,
};
use fuseboard_snapshot::{BreakerScope, BreakerSetting, Cluster, Origin};

use crate::live::Host;

pub(crate) use endpoints::WorkerEndpoints;
pub(crate) use pick::{note_probe, pick};
pub(crate) use sweep::run;

/// A breaker that survives snapshots, until one has none for its cluster, or leaves its endpoint out, and no override is in force.
#[derive(Debug)]
pub struct LiveBreaker {
    machine: Arc<Breaker>,
    /// Whose it is; `None`: the whole cluster's.
    host: Option<Arc<Host>>,
    /// The settings in force.
    config: ArcSwap<Cluster>,
    trip: ArcSwapOption<Trip>,
}

/// Why a breaker opened.
#[derive(Debug)]
pub(crate) struct Trip {
    /// In words.
    pub(crate) words: Arc<str>,
    /// The field that decided, below `spec`; `None` where none did.
    pub(crate) setting: Option<&'static str>,
    /// Where that was written; `None`: it is a default.
    pub(crate) rule: Option<Arc<Origin>>,
}

impl LiveBreaker {
    /// Under the settings of a cluster that has such; of one host, or of all together.
    pub(crate) fn new(
        cluster: &Arc<Cluster>,
        host: Option<&Arc<Host>>,
        policy: BreakerPolicy,
        now: Instant,
    ) -> Self {
        Self {
            machine: Breaker::new(policy, now),
            host: host.cloned(),
            config: ArcSwap::new(Arc::clone(cluster)),
            trip: ArcSwapOption::empty(),
        }
    }

    /// For a cluster that has none, or none for its hosts: it carries out overrides and does nothing else.
    pub(crate) fn by_hand(cluster: &Arc<Cluster>, host: Option<&Arc<Host>>, now: Instant) -> Self {
        Self::new(cluster, host, overrides_only(), now)
    }

    /// The cluster has none any more. Stays, with nothing but its override, while there is one.
    pub(crate) fn disarm(&self, cluster: &Arc<Cluster>, now: Instant) -> Option<Transitions> {
        self.machine.forced(now)?;
        Some(self.reconfigure(cluster, &overrides_only(), now))
    }

    /// Nothing asks for it any more: no rule, and no override.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let config = self.config.load();
        let scope = if self.host.is_some() { BreakerScope::Endpoint } else { BreakerScope::Destination };
        config.breaker.as_ref().is_none_or(|rule| rule.scope != scope) && self.machine.forced(now).is_none()
    }

    /// Puts other numbers in force, where they are others.
    pub(crate) fn reconfigure(
        &self,
        cluster: &Arc<Cluster>,
        policy: &BreakerPolicy,
        now: Instant,
    ) -> Transitions {
        self.config.store(Arc::clone(cluster));
        if *self.machine.policy() == *policy {
            return Transitions::new();
        }
        self.machine.reconfigure(policy.clone(), now)
    }

    /// Whose it is; `None`: the whole cluster's.
    pub fn host(&self) -> Option<&Arc<Host>> {
        self.host.as_ref()
    }

    /// How it stands.
    pub fn state(&self) -> State {
        self.machine.state()
    }

    /// The machine.
    pub(crate) const fn machine(&self) -> &Arc<Breaker> {
        &self.machine
    }

    /// Whether it keeps everybody out at `now`.
    pub(crate) fn is_shut(&self, now: Instant) -> bool {
        self.machine.shut_until(now).is_some()
    }

    /// The whole picture at `now`.
    pub(crate) fn view(&self, now: Instant) -> BreakerView {
        self.machine.view(now)
    }

    /// The same for the admin pages.
    pub(crate) fn status(&self, now: Instant) -> BreakerStatus {
        BreakerStatus { view: self.view(now), read_at: now }
    }

    /// Why it opened last; `None`: it never did.
    pub(crate) fn trip(&self) -> Option<Arc<Trip>> {
        self.trip.load_full()
    }

    /// Remembers why it opened.
    pub(crate) fn remember(&self, transitions: &Transitions) {
        let opened = transitions.iter().rev().find(|transition| transition.to == State::Open);
        let Some(Transition { cause, .. }) = opened else { return };
        let setting = BreakerSetting::deciding(cause);
        let config = self.config.load();
        let whose = self.host.as_ref().map(|host| format!("{}: ", host.endpoint.address)).unwrap_or_default();
        let origin = setting.and_then(|setting| config.breaker.as_ref()?.provenance.get(setting));
        self.trip.store(Some(Arc::new(Trip {
            words: (whose + &cause_words(cause)).into(),
            setting: setting.map(BreakerSetting::path),
            rule: origin.cloned(),
        })));
    }
}

/// What a breaker goes by that nobody wrote.
pub(crate) fn overrides_only() -> BreakerPolicy {
    BreakerPolicy { mode: Mode::Disabled, ..BreakerPolicy::default() }
}

/// A breaker as one worker uses it.
#[derive(Debug)]
pub(crate) struct WorkerBreaker {
    pub(crate) live: Arc<LiveBreaker>,
    pub(crate) recorder: Recorder,
}

impl WorkerBreaker {
    /// The worker's way into `live`: the one that it had, where it is the same breaker.
    pub(crate) fn of(live: &Arc<LiveBreaker>, before: Option<&Rc<Self>>) -> Rc<Self> {
        match before.filter(|before| Arc::ptr_eq(&before.live, live)) {
            Some(before) => Rc::clone(before),
            None => Rc::new(Self { live: Arc::clone(live), recorder: live.machine.recorder() }),
        }
    }
}
