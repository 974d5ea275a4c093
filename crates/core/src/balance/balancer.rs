//! Chooses one host for one try. Which hosts may be chosen, and when all of them may, is `host_set`'s to say.

use std::sync::Arc;

use super::schedule::Schedule;
use super::{HostSet, LbPolicy, Recipients};
use crate::rng::Rng;
use crate::time::Instant;

/// One worker's choice among the hosts of one cluster. Looks at all hosts again only after the set's health changed; otherwise a
/// pick is O(1) (O(log n) with unequal weights) and allocates nothing.
#[derive(Debug)]
pub struct Balancer {
    policy: LbPolicy,
    hosts: Arc<HostSet>,
    /// The health epoch that the fields below were made in; `None`: not yet.
    seen: Option<u64>,
    candidates: Vec<usize>,
    panic: bool,
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
            seen: None,
            candidates: Vec::new(),
            panic: false,
            method: Method::Uniform,
            schedule: Schedule::default(),
        }
    }

    /// Another policy or other hosts from now on; the rotation starts over.
    pub fn reconfigure(&mut self, policy: LbPolicy, hosts: Arc<HostSet>) {
        *self = Self::new(policy, hosts);
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

    /// Whether a pick would find a host now. Asked before queueing: where nobody can be sent to, nobody should wait.
    pub fn has_candidates(&mut self, now: Instant, rng: &mut Rng) -> bool {
        self.keep_up(now, rng);
        !self.candidates.is_empty()
    }

    fn keep_up(&mut self, now: Instant, rng: &mut Rng) {
        let epoch = self.hosts.epoch();
        if self.seen != Some(epoch) {
            self.refresh(now, rng);
            self.seen = Some(epoch);
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
        self.candidates.clear();
        self.candidates.extend((0..hosts.hosts().len()).filter(|&index| hosts.hosts()[index].is_available()));
        let recipients = hosts.recipients(self.candidates.len());
        self.panic = recipients == Recipients::All;
        match recipients {
            Recipients::Healthy => {}
            Recipients::All => {
                self.candidates.clear();
                self.candidates.extend(0..hosts.hosts().len());
            }
            Recipients::Nobody => self.candidates.clear(),
        }
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
fn pause(hosts: &HostSet, index: usize, by_load: bool, now: Instant) -> f64 {
    let host = &hosts.hosts()[index];
    let load = if by_load { host.load.load(now) + 1 } else { 1 };
    load as f64 / f64::from(host.weight.get())
}
