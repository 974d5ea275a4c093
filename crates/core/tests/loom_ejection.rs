//! Every interleaving of a host that is ejected or returns and balancers that pick at that moment, on the code that ships.
//! `RUSTFLAGS="--cfg loom" cargo test -p fuseboard-core --test loom_ejection`
#![cfg(loom)]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod race;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::balance::{Balancer, HostEntry, HostLoad, HostSet, LbPolicy, Pick};
use fuseboard_core::outlier::{Detector, HealthEpoch, HostMonitor, OutlierDetector, OutlierPolicy};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use race::{model, race};

const BAD: usize = 0;
const LATER: Instant = Instant::from_millis(60_000);

struct World {
    policy: OutlierPolicy,
    monitors: [Arc<HostMonitor>; 2],
    detector: Mutex<OutlierDetector>,
    hosts: Arc<HostSet>,
}

/// Two hosts, of which one failure ejects one. Leaked, because what moves to a thread borrows from it.
fn world() -> &'static World {
    let policy = OutlierPolicy {
        interval: Duration::from_secs(1),
        base_ejection_time: Duration::from_secs(1),
        max_ejection_percent: 100,
        consecutive_5xx: Detector { threshold: 1, enforcing_percent: 100 },
        ..OutlierPolicy::default()
    };
    let epoch = Arc::new(HealthEpoch::default());
    let monitors = ["bad", "good"].map(|id| Arc::new(HostMonitor::new(id, 0)));
    let mut detector = OutlierDetector::new(policy.clone(), Arc::clone(&epoch), Instant::ZERO);
    detector.set_hosts(&monitors);
    let entry = |monitor: &Arc<HostMonitor>| HostEntry {
        weight: NonZeroU32::MIN,
        healthy: true,
        load: Arc::new(HostLoad::default()),
        monitor: Some(Arc::clone(monitor)),
        breaker: None,
    };
    let hosts = Arc::new(HostSet::new(monitors.iter().map(entry).collect::<Vec<_>>(), 0, epoch));
    Box::leak(Box::new(World { policy, monitors, detector: Mutex::new(detector), hosts }))
}

impl World {
    fn fail(&self) {
        let monitor = &self.monitors[BAD];
        let failure = Outcome::Failure(FailureKind::Status(500));
        let trip = monitor.record(monitor.begin(), failure, &self.policy).expect("one failure is enough");
        drop(self.detector.lock().unwrap().on_trip(monitor, trip, Instant::ZERO, &mut Rng::new(1)));
    }

    fn come_back(&self) {
        drop(self.detector.lock().unwrap().tick(LATER, &mut Rng::new(1)));
    }

    fn balancer(&self) -> Balancer {
        Balancer::new(LbPolicy::RoundRobin, Arc::clone(&self.hosts))
    }
}

fn pick(balancer: &mut Balancer) -> usize {
    match balancer.pick(Instant::ZERO, &mut Rng::new(7)) {
        Pick::Host { index, panic: false } => index,
        other => panic!("{other:?}"),
    }
}

/// One round of the rotation.
fn round(balancer: &mut Balancer) -> [usize; 2] {
    let mut picks = [pick(balancer), pick(balancer)];
    picks.sort_unstable();
    picks
}

#[test]
fn a_balancer_that_looked_during_an_ejection_looks_again() {
    model(2, |main| {
        let world = world();
        let work = || {
            let mut balancer = world.balancer();
            pick(&mut balancer);
            balancer
        };
        let ((), mut balancer) = race(main, || world.fail(), work);
        assert_eq!(round(&mut balancer), [1, 1], "nothing goes to an ejected host");
    });
}

#[test]
fn a_pick_that_begins_after_the_ejection_was_seen_never_finds_the_host() {
    model(2, |main| {
        let world = world();
        let ejected: &AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let mut balancer = world.balancer();
        pick(&mut balancer);
        let fail = || {
            world.fail();
            ejected.store(true, Ordering::Release);
        };
        let work = move || {
            let told = ejected.load(Ordering::Acquire);
            assert!(!told || pick(&mut balancer) != BAD);
        };
        race(main, fail, work);
    });
}

#[test]
fn a_balancer_that_looked_while_a_host_returned_looks_again() {
    model(2, |main| {
        let world = world();
        world.fail();
        let work = || {
            let mut balancer = world.balancer();
            pick(&mut balancer);
            balancer
        };
        let ((), mut balancer) = race(main, || world.come_back(), work);
        assert_eq!(round(&mut balancer), [0, 1], "both take part again");
    });
}

#[test]
fn an_ejection_by_one_worker_is_seen_by_the_balancers_of_all() {
    model(2, |main| {
        let world = world();
        let work = |fails: bool| {
            move || {
                let mut balancer = world.balancer();
                pick(&mut balancer);
                if fails {
                    world.fail();
                    assert_eq!(pick(&mut balancer), 1, "its own failure at once");
                }
                balancer
            }
        };
        let (mut one, mut other) = race(main, work(true), work(false));
        assert_eq!((round(&mut one), round(&mut other)), ([1, 1], [1, 1]));
    });
}
