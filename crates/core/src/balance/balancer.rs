//! Chooses one host for one try. Which hosts may be chosen, and when all of them may, is `host_set`'s to say.

use std::sync::Arc;
use std::time::Duration;

use super::host_set::refusal_of;
use super::schedule::Schedule;
use super::{HostSet, LbPolicy, Recipients};
use crate::breaker::{Refusal, RefusedBy};
use crate::rng::Rng;
use crate::time::Instant;

/// No epoch comes that far.
const UNSEEN: u64 = u64::MAX;

const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// One worker's choice among the hosts of one cluster. Looks at all hosts again only after the set's health changed; otherwise a
/// pick is O(1) (O(log n) with unequal weights) and allocates nothing.
#[derive(Debug)]
pub struct Balancer {
    policy: LbPolicy,
    hosts: Arc<HostSet>,
    /// The health epoch that the fields below were made in; [`UNSEEN`]: not yet.
    seen: u64,
    /// When the breaker of a host that is kept out lets a probe through, if nothing happens before: they are old then, too.
    stale_from: Instant,
    pub(super) candidates: Vec<usize>,
    /// None of the candidates has a breaker that takes every call.
    all_guarded: bool,
    /// All hosts that are otherwise healthy were kept out by their breakers.
    shut_out: bool,
    pub(super) panic: bool,
    method: Method,
    schedule: Schedule,
}

/// How the next of the candidates is found.
#[derive(Debug)]
enum Method {
    TwoChoices,
    Uniform,
    Rotation { next: usize },
    Schedule { by_load: bool },
}

/// Whether a pick would find a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// There are candidates, and at least one of them might take a call.
    Hosts,
    /// The breaker of each host that could be chosen refuses.
    Refused(Refusal),
    /// Nobody to send to.
    NoneHealthy,
}

/// The result of one choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Send it there.
    Host {
        /// Index into the set's hosts.
        index: usize,
        /// All hosts were candidates, available or not. The adapter adds to `lb_healthy_panic`.
        panic: bool,
    },
    /// Nobody to send to: `upstream_cx_none_healthy`, 503 UH.
    NoneHealthy {
        /// As above; an empty cluster with a panic threshold panics, too.
        panic: bool,
    },
}

impl Balancer {
    /// A balancer for `hosts`. Its first pick looks at them.
    pub fn new(policy: LbPolicy, hosts: Arc<HostSet>) -> Self {
        Self {
            policy,
            hosts,
            seen: UNSEEN,
            stale_from: NEVER,
            candidates: Vec::new(),
            all_guarded: false,
            shut_out: false,
            panic: false,
            method: Method::Uniform,
            schedule: Schedule::default(),
        }
    }

    /// What it chooses from.
    pub fn hosts(&self) -> &Arc<HostSet> {
        &self.hosts
    }

    /// A host for the first try.
    pub fn pick(&mut self, now: Instant, rng: &mut Rng) -> Pick {
        self.pick_except(|_| false, 0, now, rng)
    }

    /// A host for a further try: chooses again, up to `attempts` times, while `tried` rejects the choice; after that the last choice
    /// stands. So with one host the same one is tried again.
    pub fn pick_except(
        &mut self,
        tried: impl Fn(usize) -> bool,
        attempts: u32,
        now: Instant,
        rng: &mut Rng,
    ) -> Pick {
        self.keep_up(now, rng);
        let panic = self.panic;
        let Some(mut index) = self.choose(now, rng) else { return Pick::NoneHealthy { panic } };
        for _ in 0..attempts {
            if !tried(index) {
                break;
            }
            index = self.choose(now, rng).unwrap_or(index);
        }
        Pick::Host { index, panic }
    }

    /// Whether a pick would find a host now. Asked before queueing: where nobody can be sent to, nobody should wait. O(1) as
    /// long as one candidate's breaker is closed, or the cluster has none for its endpoints.
    pub fn outlook(&mut self, now: Instant, rng: &mut Rng) -> Outlook {
        self.keep_up(now, rng);
        if self.candidates.is_empty() {
            return self.kept_out(now).map_or(Outlook::NoneHealthy, Outlook::Refused);
        }
        if !self.all_guarded {
            return Outlook::Hosts;
        }
        let entries = self.hosts.hosts();
        let refusal = refusal_of(self.candidates.iter().map(|&index| &entries[index]), now);
        refusal.map_or(Outlook::Hosts, |refusal| Outlook::Refused(self.hosts.or_first_probe(refusal, now)))
    }

    /// Without a candidate: what those are refused with whom only breakers keep out. `None`: it is not the breakers.
    pub(super) fn kept_out(&self, now: Instant) -> Option<Refusal> {
        // A breaker that went on since the candidates were found lets somebody through with the next call.
        let soon = Refusal { by: RefusedBy::Open, retry_after: Duration::ZERO };
        self.shut_out.then(|| self.hosts.refusal(now).unwrap_or(soon))
    }

    fn keep_up(&mut self, now: Instant, rng: &mut Rng) {
        let epoch = self.hosts.epoch();
        if self.seen != epoch || now >= self.stale_from {
            self.refresh(now, rng);
            self.seen = epoch;
        }
    }

    fn choose(&mut self, now: Instant, rng: &mut Rng) -> Option<usize> {
        match &mut self.method {
            Method::TwoChoices => {
                let (first, second) = (any(&self.candidates, rng)?, any(&self.candidates, rng)?);
                let load = |index: usize| self.hosts.hosts()[index].load.load(now);
                Some(if load(second) < load(first) { second } else { first })
            }
            Method::Uniform => any(&self.candidates, rng),
            Method::Rotation { next } => {
                let index = *self.candidates.get(*next)?;
                *next = (*next + 1) % self.candidates.len();
                Some(index)
            }
            Method::Schedule { by_load } => {
                let by_load = *by_load;
                let hosts = &self.hosts;
                self.schedule.next(|index| pause(hosts, index, by_load, now))
            }
        }
    }

    /// Looks at all hosts. Rotations start at a random place, so that workers and proxies don't move in step.
    fn refresh(&mut self, now: Instant, rng: &mut Rng) {
        let hosts = &self.hosts;
        let entries = hosts.hosts();
        let all = 0..entries.len();
        self.candidates.clear();
        self.candidates.extend(all.clone().filter(|&index| entries[index].is_available(now)));
        self.shut_out = self.candidates.is_empty() && hosts.has_healthy();
        let recipients = hosts.recipients(self.candidates.len());
        self.panic = recipients == Recipients::All;
        match recipients {
            Recipients::Healthy => {}
            Recipients::All => {
                // But those that their own breakers keep out: nothing reaches an open one.
                self.candidates.clear();
                self.candidates.extend(all.filter(|&index| entries[index].shut_until(now).is_none()));
            }
            Recipients::Nobody => self.candidates.clear(),
        }
        self.stale_from = entries.iter().filter_map(|host| host.shut_until(now)).min().unwrap_or(NEVER);
        self.all_guarded = !self.candidates.iter().any(|&index| entries[index].takes_all());
        let offset = rng.below(u32::try_from(self.candidates.len()).unwrap_or(u32::MAX)) as usize;
        let weights = || self.candidates.iter().map(|&index| hosts.hosts()[index].weight);
        let equal = weights().zip(weights().skip(1)).all(|(one, next)| one == next);
        self.method = match (self.policy, equal) {
            (LbPolicy::Random, _) => Method::Uniform,
            (LbPolicy::LeastRequest, true) => Method::TwoChoices,
            (LbPolicy::RoundRobin, true) => Method::Rotation { next: offset },
            (policy, false) => Method::Schedule { by_load: policy == LbPolicy::LeastRequest },
        };
        if let Method::Schedule { by_load } = self.method {
            self.schedule.restart(&self.candidates, |index| pause(hosts, index, by_load, now));
            for _ in 0..offset {
                self.schedule.next(|index| pause(hosts, index, by_load, now));
            }
        }
    }
}

fn any(candidates: &[usize], rng: &mut Rng) -> Option<usize> {
    let bound = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
    candidates.get(rng.below(bound) as usize).copied()
}

/// Inverse of a host's share: its weight, divided in least request by its load plus one (Envoy's bias 1).
pub(super) fn pause(hosts: &HostSet, index: usize, by_load: bool, now: Instant) -> f64 {
    let host = &hosts.hosts()[index];
    let load = if by_load { host.load.load(now) + 1 } else { 1 };
    load as f64 / f64::from(host.weight.get())
}
