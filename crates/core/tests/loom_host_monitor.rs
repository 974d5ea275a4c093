//! All interleavings of workers that record outcomes with the detector that ejects and returns.
//! Runs with `RUSTFLAGS="--cfg loom"`; empty otherwise.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use fuseboard_core::outlier::{
    DetectionKind, Detector, HealthEpoch, HostMonitor, OutlierAction, OutlierDetector, OutlierPolicy, Trip,
};
use fuseboard_core::{Instant, Outcome, Rng};
use loom::sync::Mutex;
use loom::thread;
use std::sync::Arc;

const FAILURE: Outcome = Outcome::Failure(fuseboard_core::FailureKind::Status(500));
const OK: Outcome = Outcome::Success { status: 200 };

fn policy(threshold: u32) -> OutlierPolicy {
    OutlierPolicy {
        interval: Duration::from_secs(1),
        base_ejection_time: Duration::from_secs(1),
        max_ejection_percent: 100,
        consecutive_5xx: Detector { threshold, enforcing_percent: 100 },
        ..OutlierPolicy::default()
    }
}

struct Cluster {
    policy: OutlierPolicy,
    monitor: Arc<HostMonitor>,
    detector: Mutex<OutlierDetector>,
    epoch: Arc<HealthEpoch>,
}

impl Cluster {
    fn new(threshold: u32) -> Arc<Self> {
        let epoch = Arc::new(HealthEpoch::default());
        let monitor = Arc::new(HostMonitor::new("host", 0));
        let mut detector = OutlierDetector::new(policy(threshold), Arc::clone(&epoch), Instant::ZERO);
        // The second host leaves room for a second ejection, so that only the generation stands against it.
        detector.set_hosts(&[Arc::clone(&monitor), Arc::new(HostMonitor::new("other", 0))]);
        Arc::new(Self { policy: policy(threshold), monitor, detector: Mutex::new(detector), epoch })
    }

    fn record(&self, outcome: Outcome) -> Option<Trip> {
        self.monitor.record(self.monitor.begin(), outcome, &self.policy)
    }

    /// The ejections that followed.
    fn report(&self, trip: Option<Trip>) -> usize {
        let Some(trip) = trip else { return 0 };
        let mut detector = self.detector.lock().unwrap();
        let events = detector.on_trip(&self.monitor, trip, Instant::ZERO, &mut Rng::new(1));
        events.iter().filter(|event| matches!(event.action, OutlierAction::Ejected { .. })).count()
    }

    fn sweep(&self) -> usize {
        self.detector.lock().unwrap().tick(Instant::from_millis(60_000), &mut Rng::new(1)).len()
    }
}

#[test]
fn failures_that_race_are_all_counted_and_eject_once() {
    loom::model(|| {
        let cluster = Cluster::new(2);
        let other = Arc::clone(&cluster);
        let worker = thread::spawn(move || other.report(other.record(FAILURE)));
        let ejections = cluster.report(cluster.record(FAILURE)) + worker.join().unwrap();
        assert_eq!(ejections, 1);
        assert!(cluster.monitor.is_ejected());
    });
}

#[test]
fn two_trips_of_the_same_period_eject_once() {
    loom::model(|| {
        let cluster = Cluster::new(1);
        let other = Arc::clone(&cluster);
        let worker = thread::spawn(move || other.report(other.record(FAILURE)));
        let ejections = cluster.report(cluster.record(FAILURE)) + worker.join().unwrap();
        assert_eq!(ejections, 1);
    });
}

#[test]
fn a_try_from_before_an_ejection_does_not_count_after_the_return() {
    loom::model(|| {
        let cluster = Cluster::new(2);
        assert!(cluster.record(FAILURE).is_none());
        let late = cluster.monitor.begin();
        let other = Arc::clone(&cluster);
        let detector = thread::spawn(move || {
            let ejected = other.report(other.record(FAILURE));
            (ejected, other.sweep())
        });
        let tripped = cluster.monitor.record(late, FAILURE, &cluster.policy);
        let by_late = cluster.report(tripped);
        let (ejected, returned) = detector.join().unwrap();
        if tripped.is_some() {
            // The late one was the second failure; the other worker's try is then the first of a streak, or came too late.
            assert_eq!(by_late + ejected, 1);
        } else {
            assert_eq!((ejected, returned), (1, 1));
            assert_eq!(
                cluster.monitor.streak(DetectionKind::Consecutive5xx),
                0,
                "a returned host starts clean"
            );
        }
    });
}

#[test]
fn a_try_from_before_an_ejection_does_not_end_the_streak_after_the_return() {
    loom::model(|| {
        let cluster = Cluster::new(2);
        let late = [cluster.monitor.begin(), cluster.monitor.begin()];
        let other = Arc::clone(&cluster);
        let detector = thread::spawn(move || {
            let ejected = other.report(other.record(FAILURE)) + other.report(other.record(FAILURE));
            let returned = other.sweep();
            (ejected, returned, other.record(FAILURE))
        });
        let tripped = late
            .into_iter()
            .zip([FAILURE, OK])
            .any(|(ticket, outcome)| cluster.monitor.record(ticket, outcome, &cluster.policy).is_some());
        let (ejected, returned, after) = detector.join().unwrap();
        if !tripped && ejected == 1 {
            assert_eq!((returned, after), (1, None));
            assert_eq!(
                cluster.monitor.streak(DetectionKind::Consecutive5xx),
                1,
                "the failure after the return"
            );
        }
    });
}

#[test]
fn a_success_either_ends_the_streak_or_comes_before_the_failure() {
    loom::model(|| {
        let cluster = Cluster::new(3);
        assert!(cluster.record(FAILURE).is_none());
        let other = Arc::clone(&cluster);
        let worker = thread::spawn(move || other.record(OK));
        assert!(cluster.record(FAILURE).is_none());
        assert!(worker.join().unwrap().is_none());
        assert!(
            cluster.monitor.streak(DetectionKind::Consecutive5xx) <= 1,
            "never both failures after the success"
        );
    });
}

#[test]
fn who_sees_the_new_epoch_sees_the_ejection() {
    loom::model(|| {
        let cluster = Cluster::new(1);
        let before = cluster.epoch.current();
        let other = Arc::clone(&cluster);
        let worker = thread::spawn(move || other.report(other.record(FAILURE)));
        if cluster.epoch.current() != before {
            assert!(cluster.monitor.is_ejected());
        }
        assert_eq!(worker.join().unwrap(), 1);
    });
}
