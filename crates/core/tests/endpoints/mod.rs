//! A cluster whose endpoints have breakers of their own, as some workers use it: balancers, recorders, and nothing else.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::sync::Arc;

use fuseboard_core::balance::{Balancer, HostEntry, HostLoad, HostSet, LbPolicy, Taken};
use fuseboard_core::breaker::{Breaker, BreakerPolicy, Recorder, Refusal, Ticket, Transition, Transitions};
use fuseboard_core::outlier::{HealthEpoch, HostMonitor};
use fuseboard_core::{Instant, Outcome, Rng};

/// Why a call was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    Refused(Refusal),
    NoneHealthy,
}

pub(crate) struct Cluster {
    pub(crate) breakers: Vec<Arc<Breaker>>,
    pub(crate) monitors: Vec<Arc<HostMonitor>>,
    pub(crate) set: Arc<HostSet>,
    pub(crate) epoch: Arc<HealthEpoch>,
    /// By worker and host.
    pub(crate) recorders: Vec<Vec<Recorder>>,
    balancers: Vec<RefCell<Balancer>>,
    pub(crate) rng: RefCell<Rng>,
    /// The breakers' own, so that they move no choice by drawing.
    own_rng: RefCell<Rng>,
    /// What happened, and to which host.
    pub(crate) log: RefCell<Vec<(usize, Transition)>>,
}

impl Cluster {
    pub(crate) fn new(
        hosts: usize,
        workers: usize,
        lb: LbPolicy,
        panic_threshold: u32,
        policy: &BreakerPolicy,
    ) -> Self {
        let breakers: Vec<_> = (0..hosts).map(|_| Breaker::new(policy.clone(), Instant::ZERO)).collect();
        let monitors: Vec<_> =
            (0..hosts).map(|host| Arc::new(HostMonitor::new(host.to_string(), 0))).collect();
        let entries: Vec<_> = breakers
            .iter()
            .zip(&monitors)
            .map(|(breaker, monitor)| HostEntry {
                weight: NonZeroU32::MIN,
                healthy: true,
                load: Arc::new(HostLoad::default()),
                monitor: Some(Arc::clone(monitor)),
                breaker: Some(Arc::clone(breaker)),
            })
            .collect();
        let epoch = Arc::new(HealthEpoch::default());
        let set = Arc::new(HostSet::new(entries, panic_threshold, Arc::clone(&epoch)));
        Self {
            recorders: (0..workers).map(|_| breakers.iter().map(Breaker::recorder).collect()).collect(),
            balancers: (0..workers).map(|_| RefCell::new(Balancer::new(lb, Arc::clone(&set)))).collect(),
            breakers,
            monitors,
            set,
            epoch,
            rng: RefCell::new(Rng::new(7)),
            own_rng: RefCell::new(Rng::new(8)),
            log: RefCell::default(),
        }
    }

    /// Makes known what a breaker did, as the adapter does.
    pub(crate) fn note(&self, host: usize, transitions: Transitions) {
        if transitions.iter().any(Transition::takes_effect) {
            self.epoch.advance();
        }
        self.log.borrow_mut().extend(transitions.into_iter().map(|one| (host, one)));
    }

    pub(crate) fn balancer(&self, worker: usize) -> std::cell::RefMut<'_, Balancer> {
        self.balancers[worker].borrow_mut()
    }

    /// Sends a call of a worker; `asked` hears which hosts were asked, in order, and what each said.
    pub(crate) fn send_watched(
        &self,
        worker: usize,
        now: Instant,
        mut asked: impl FnMut(usize, Option<Refusal>),
    ) -> Result<(usize, Ticket<'_>), NotSent> {
        let mut changes = Vec::new();
        let taken = self.balancer(worker).pick_willing(
            |_| false,
            0,
            now,
            &mut self.rng.borrow_mut(),
            |host, _| {
                let rng = &mut self.own_rng.borrow_mut();
                let (ticket, transitions) = self.recorders[worker][host].admit(now, rng);
                changes.push((host, transitions));
                asked(host, ticket.as_ref().err().copied());
                ticket
            },
        );
        for (host, transitions) in changes {
            self.note(host, transitions);
        }
        match taken {
            Taken::Host { index, ticket, .. } => Ok((index, ticket)),
            Taken::Refused(refusal) => Err(NotSent::Refused(refusal)),
            Taken::NoneHealthy { .. } => Err(NotSent::NoneHealthy),
        }
    }

    pub(crate) fn send(&self, worker: usize, now: Instant) -> Result<(usize, Ticket<'_>), NotSent> {
        self.send_watched(worker, now, |_, _| {})
    }

    pub(crate) fn record(&self, host: usize, ticket: Ticket<'_>, outcome: Outcome, now: Instant) {
        let transitions = ticket.record(outcome, now, &mut self.own_rng.borrow_mut());
        self.note(host, transitions);
    }

    /// What time alone brings about.
    pub(crate) fn tick(&self, now: Instant) {
        for (host, breaker) in self.breakers.iter().enumerate() {
            let transitions = breaker.tick(now, &mut self.own_rng.borrow_mut());
            self.note(host, transitions);
        }
    }

    pub(crate) fn sweep(&self, worker: usize, now: Instant) {
        for (host, recorder) in self.recorders[worker].iter().enumerate() {
            let transitions = recorder.sweep(now, &mut self.own_rng.borrow_mut());
            self.note(host, transitions);
        }
    }
}
