//! Random runs of several endpoints with breakers of their own against as many naive models: who is asked, what it says, and that a
//! call is refused only when every healthy endpoint refuses it.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[expect(dead_code, reason = "shared with the tests of one breaker")]
mod breaker_model;
#[expect(dead_code, reason = "shared with the tests in virtual time")]
mod endpoints;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use breaker_model::{Change, Model, Phase};
use endpoints::{Cluster, NotSent};
use fuseboard_core::balance::{LbPolicy, Outlook};
use fuseboard_core::breaker::{
    BreakerPolicy, Force, HalfOpenPolicy, Mode, OpenPolicy, Override, Percent, RampPolicy, RefusedBy,
    SlowPolicy, Ticket, TripPolicy,
};
use fuseboard_core::outlier::{Detector, OutlierDetector, OutlierPolicy};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};
use proptest::prelude::*;

const WORKERS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Send { worker: usize },
    Record { which: usize, fails: bool },
    Abandon { which: usize },
    Eject { host: usize },
    Force { host: usize, open: bool, millis: u64 },
    Reconfigure(Box<BreakerPolicy>),
}

fn count(from: u32, to: u32) -> impl Strategy<Value = NonZeroU32> {
    (from..to).prop_map(|count| NonZeroU32::new(count).unwrap())
}

prop_compose! {
    fn policy()(
        mode in prop_oneof![8 => Just(Mode::Enforce), 1 => Just(Mode::Shadow), 1 => Just(Mode::Disabled)],
        failures in count(1, 4),
        slow in proptest::option::weighted(0.3, 1_u64..150),
        open_for in 1_u64..300,
        half_open in (count(1, 4), count(1, 4), 1_u64..200, 1_u64..400),
        ramp_for in prop_oneof![Just(0), 1_u64..400],
    ) -> BreakerPolicy {
        let half = Percent::new(50).unwrap();
        let (probes, successes, lease, patience) = half_open;
        let time = Duration::from_millis;
        BreakerPolicy {
            mode,
            trip: TripPolicy {
                consecutive_failures: Some(failures),
                slow: slow.map(|millis| SlowPolicy { slower_than: time(millis), percent: half }),
                ..TripPolicy::default()
            },
            open: OpenPolicy { open_for: time(open_for), jitter_percent: 0, ..OpenPolicy::default() },
            half_open: HalfOpenPolicy { probes, successes, lease: time(lease), patience: time(patience) },
            ramp: RampPolicy { ramp_for: time(ramp_for), ..RampPolicy::default() },
            ..BreakerPolicy::default()
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0_u64..60).prop_map(Step::Wait),
        1 => (0_u64..3_000).prop_map(Step::Wait),
        60 => (0..WORKERS).prop_map(|worker| Step::Send { worker }),
        45 => (any::<usize>(), any::<bool>()).prop_map(|(which, fails)| Step::Record { which, fails }),
        4 => any::<usize>().prop_map(|which| Step::Abandon { which }),
        2 => any::<usize>().prop_map(|host| Step::Eject { host }),
        1 => (any::<usize>(), any::<bool>(), 0_u64..500)
            .prop_map(|(host, open, millis)| Step::Force { host, open, millis }),
        1 => policy().prop_map(|policy| Step::Reconfigure(Box::new(policy))),
    ]
}

/// The cluster, the models, and what ejects hosts beside the breakers.
struct Run<'c> {
    cluster: &'c Cluster,
    models: Vec<Model>,
    detector: OutlierDetector,
    ejecting: OutlierPolicy,
    now: Instant,
}

impl<'c> Run<'c> {
    fn new(cluster: &'c Cluster, policy: &BreakerPolicy) -> Self {
        let ejecting = OutlierPolicy {
            interval: Duration::from_millis(50),
            base_ejection_time: Duration::from_millis(200),
            max_ejection_percent: 100,
            consecutive_5xx: Detector { threshold: 1, enforcing_percent: 100 },
            ..OutlierPolicy::default()
        };
        let mut detector = OutlierDetector::new(ejecting.clone(), Arc::clone(&cluster.epoch), Instant::ZERO);
        detector.set_hosts(&cluster.monitors);
        let models = cluster.breakers.iter().map(|_| Model::new(policy.clone())).collect();
        Self { cluster, models, detector, ejecting, now: Instant::ZERO }
    }

    fn eject(&mut self, host: usize) {
        let monitor = &self.cluster.monitors[host];
        let ticket = monitor.begin();
        if let Some(trip) = monitor.record(ticket, Outcome::of_status(500), &self.ejecting) {
            self.detector.on_trip(monitor, trip, self.now, &mut self.cluster.rng.borrow_mut());
        }
    }

    /// What is due, in both; and nothing is kept.
    fn catch_up(&mut self) {
        self.detector.tick(self.now, &mut Rng::new(1));
        for worker in 0..WORKERS {
            self.cluster.tick(self.now);
            self.models.iter_mut().for_each(|model| model.advance(self.now));
            self.cluster.sweep(worker, self.now);
            self.models.iter_mut().for_each(|model| model.sweep(worker, self.now));
        }
    }

    /// Whether the model of a host keeps everybody out, without being asked.
    fn is_shut(&self, host: usize) -> Option<Instant> {
        let model = &self.models[host];
        match &model.phase {
            Phase::Open { until, forced } if model.policy.mode == Mode::Enforce || forced.is_some() => {
                Some(*until).filter(|until| self.now < *until)
            }
            _ => None,
        }
    }

    fn healthy(&self) -> Vec<usize> {
        (0..self.models.len()).filter(|host| !self.cluster.monitors[*host].is_ejected()).collect()
    }

    /// Sends a call, and holds what was asked and answered against the models. Nothing in both: it was not sent.
    fn send(&mut self, worker: usize) -> Result<Option<(usize, usize, Ticket<'c>)>, TestCaseError> {
        let cluster = self.cluster;
        let shut: Vec<_> = (0..self.models.len()).map(|host| self.is_shut(host)).collect();
        let outlook = cluster.balancer(worker).outlook(self.now, &mut cluster.rng.borrow_mut());
        let mut asked = Vec::new();
        let sent = cluster.send_watched(worker, self.now, |host, refusal| asked.push((host, refusal)));
        let mut id = None;
        for (index, (host, refusal)) in asked.iter().enumerate() {
            prop_assert!(!asked[..index].iter().any(|(other, _)| other == host), "{host} twice");
            prop_assert!(shut[*host].is_none(), "{host} is open");
            let theirs = self.models[*host].admit(worker, self.now);
            prop_assert_eq!(refusal.map(|refusal| refusal.by), theirs.err());
            id = theirs.ok();
        }
        let healthy = self.healthy();
        match sent {
            Ok((host, ticket)) => {
                prop_assert!(healthy.contains(&host));
                prop_assert_eq!(outlook, Outlook::Hosts);
                return Ok(Some((host, id.unwrap(), ticket)));
            }
            Err(NotSent::NoneHealthy) => {
                prop_assert!(healthy.is_empty(), "{healthy:?} were not asked");
                prop_assert_eq!(outlook, Outlook::NoneHealthy);
            }
            Err(NotSent::Refused(refusal)) => {
                for host in &healthy {
                    let has_refused = asked.iter().any(|(other, _)| other == host);
                    prop_assert!(has_refused || shut[*host].is_some(), "{host} might have taken it");
                }
                let of_asked = asked.iter().filter_map(|(_, refusal)| *refusal);
                let probes = healthy
                    .iter()
                    .filter_map(|host| shut[*host])
                    .map(|until| until.saturating_since(self.now));
                let rank = |by| {
                    [RefusedBy::Open, RefusedBy::ProbeBusy, RefusedBy::Ramp].iter().position(|one| *one == by)
                };
                let closest = of_asked.clone().map(|one| rank(one.by)).max().unwrap_or(Some(0));
                prop_assert_eq!(rank(refusal.by), closest);
                let first = of_asked.map(|one| one.retry_after).chain(probes).min().unwrap();
                prop_assert_eq!(refusal.retry_after, first);
                let ramps = refusal.by == RefusedBy::Ramp;
                prop_assert!(ramps || outlook == Outlook::Refused(refusal), "{outlook:?}");
            }
        }
        Ok(None)
    }
}

fn changes_of(cluster: &Cluster, host: usize) -> Vec<Change> {
    let log = cluster.log.borrow();
    let own = log.iter().filter(|(of, _)| *of == host);
    own.map(|(_, it)| (it.to, it.cause.token(), it.at, it.open_until)).collect()
}

fn run(hosts: usize, lb: LbPolicy, policy: &BreakerPolicy, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let cluster = Cluster::new(hosts, WORKERS, lb, 0, policy);
    let mut run = Run::new(&cluster, policy);
    let mut calls: Vec<(usize, usize, Ticket<'_>)> = Vec::new();
    for step in steps {
        match step {
            Step::Wait(millis) => {
                run.now = run.now + Duration::from_millis(millis);
                run.catch_up();
            }
            Step::Send { worker } => calls.extend(run.send(worker)?),
            Step::Record { which, fails } if !calls.is_empty() => {
                let (host, id, ticket) = calls.remove(which % calls.len());
                let kind = FailureKind::Reset;
                let outcome = if fails { Outcome::Failure(kind) } else { Outcome::of_status(200) };
                cluster.record(host, ticket, outcome, run.now);
                run.models[host].record(id, outcome, run.now);
            }
            Step::Abandon { which } if !calls.is_empty() => {
                let (host, id, ticket) = calls.remove(which % calls.len());
                drop(ticket);
                run.models[host].abandon(id);
            }
            Step::Record { .. } | Step::Abandon { .. } => {}
            Step::Eject { host } => run.eject(host % hosts),
            Step::Force { host, open, millis } => {
                let force = if open { Force::Open } else { Force::Closed };
                let until = run.now + Duration::from_millis(millis);
                let order = Override { force, until, reason: "drill".into(), by: "somebody".into() };
                cluster.note(host % hosts, cluster.breakers[host % hosts].force(order.clone(), run.now));
                run.models[host % hosts].force(order, run.now);
            }
            Step::Reconfigure(policy) => {
                for (host, model) in run.models.iter_mut().enumerate() {
                    cluster.note(host, cluster.breakers[host].reconfigure((*policy).clone(), run.now));
                    model.reconfigure((*policy).clone(), run.now);
                }
                // As the adapter does: an open time may be shorter, a shadow may act.
                cluster.epoch.advance();
            }
        }
        run.catch_up();
        for (host, model) in run.models.iter().enumerate() {
            prop_assert_eq!(&changes_of(&cluster, host), &model.changes, "host {}", host);
            let view = cluster.breakers[host].view(run.now);
            if let Phase::HalfOpen { probes, .. } = &model.phase {
                prop_assert_eq!(view.probes_out as usize, probes.len());
            }
        }
    }
    drop(calls);
    for breaker in &cluster.breakers {
        prop_assert_eq!(breaker.view(run.now).probes_out, 0, "every lease comes back");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_call_goes_to_who_takes_it_and_is_refused_only_when_nobody_does(
        hosts in 1_usize..6,
        lb in proptest::sample::select(&[LbPolicy::LeastRequest, LbPolicy::RoundRobin, LbPolicy::Random]),
        policy in policy(),
        steps in prop::collection::vec(step(), 1..300),
    ) {
        run(hosts, lb, &policy, steps)?;
    }
}
