//! What each decision about a request costs on one worker: `cargo bench -p fuseboard-core`.
//!
//! Times are of this machine and this moment; compare two runs of one sitting. What is compared over months are instructions:
//! `cargo xtask bench --instructions`.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to say")]

fn main() {
    divan::main();
}

#[divan::bench_group(sample_size = 1_000, sample_count = 200)]
mod breaker {
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::Duration;

    use divan::{Bencher, black_box};
    use fuseboard_core::breaker::{
        Breaker, BreakerPolicy, FailureCount, Force, Override, Percent, Recorder, SlowPolicy, TripPolicy,
        WindowPolicy,
    };
    use fuseboard_core::{Instant, Outcome, Rng};

    const OK: Outcome = Outcome::Success { status: 200 };

    /// Every condition, and none that is met.
    fn all_conditions() -> BreakerPolicy {
        let trip = TripPolicy {
            consecutive_failures: NonZeroU32::new(5),
            failures: Some(FailureCount {
                count: NonZeroU32::new(50).unwrap(),
                within: Duration::from_secs(10),
            }),
            failure_percent: Percent::new(50),
            slow: Some(SlowPolicy {
                slower_than: Duration::from_secs(1),
                percent: Percent::new(50).unwrap(),
            }),
            minimum_calls: 20,
        };
        BreakerPolicy { trip, ..BreakerPolicy::default() }
    }

    fn of(name: &str) -> BreakerPolicy {
        let all = all_conditions();
        match name {
            "all conditions" => all,
            "window of calls" => {
                BreakerPolicy { window: WindowPolicy::Calls(NonZeroU32::new(100).unwrap()), ..all }
            }
            _ => {
                let trip = TripPolicy { consecutive_failures: NonZeroU32::new(5), ..TripPolicy::default() };
                BreakerPolicy { trip, ..all }
            }
        }
    }

    fn worker(policy: BreakerPolicy) -> (Arc<Breaker>, Recorder) {
        let breaker = Breaker::new(policy, Instant::ZERO);
        let recorder = breaker.recorder();
        (breaker, recorder)
    }

    /// Check, ticket and outcome of a good call while the breaker is closed; a microsecond apart, and swept each 10 ms.
    #[divan::bench(args = ["all conditions", "window of calls", "failures in a row"])]
    fn closed(bencher: Bencher<'_, '_>, policy: &str) {
        let (_breaker, recorder) = worker(of(policy));
        let (mut rng, mut nanos) = (Rng::new(1), 0);
        bencher.bench_local(move || {
            nanos += 1_000;
            let now = Instant::from_nanos(nanos);
            let pass = recorder.check(black_box(now)).unwrap();
            let (ticket, _) = recorder.ticket(pass, now, &mut rng);
            let changes = ticket.unwrap().record(black_box(OK), now, &mut rng);
            if nanos % 10_000_000 == 0 {
                let _ = recorder.sweep(now, &mut rng);
            }
            changes.len()
        });
    }

    /// A failure between good calls: the mutex, the window, the conditions.
    #[divan::bench]
    fn closed_one_of_ten_fails(bencher: Bencher<'_, '_>) {
        let trip = TripPolicy { failures: None, ..all_conditions().trip };
        let (_breaker, recorder) = worker(BreakerPolicy { trip, ..BreakerPolicy::default() });
        let (mut rng, mut nanos) = (Rng::new(1), 0);
        bencher.bench_local(move || {
            nanos += 1_000_000;
            let now = Instant::from_nanos(nanos);
            let outcome = Outcome::of_status(if nanos % 10_000_000 == 0 { 500 } else { 200 });
            let ticket = recorder.admit(now, &mut rng).0.unwrap();
            ticket.record(black_box(outcome), now, &mut rng).len()
        });
    }

    #[divan::bench]
    fn open_refusal(bencher: Bencher<'_, '_>) {
        let (breaker, recorder) = worker(all_conditions());
        let until = Instant::from_nanos(u64::MAX);
        let order = Override { force: Force::Open, until, reason: "bench".into(), by: "".into() };
        let _ = breaker.force(order, Instant::ZERO);
        let mut nanos = 0;
        bencher.bench_local(move || {
            nanos += 1_000;
            recorder.check(black_box(Instant::from_nanos(nanos))).unwrap_err().retry_after
        });
    }
}

#[divan::bench_group(sample_size = 1_000, sample_count = 200)]
mod limit {
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use divan::{Bencher, black_box};
    use fuseboard_core::Instant;
    use fuseboard_core::limit::{Admission, Kind, ResourceManager, Thresholds, WorkerId};
    use fuseboard_core::pool::{Handle, HostKey, IdlePool, StreamCheckout, StreamFound};

    #[derive(Clone)]
    struct Link;

    impl Handle<Self> for Link {
        fn into_item(self) -> Self {
            self
        }
    }

    /// A slot taken and given back.
    #[divan::bench(args = ["limited", "unlimited"])]
    fn admit(bencher: Bencher<'_, '_>, limits: &str) {
        let thresholds = if limits == "limited" { Thresholds::ENVOY } else { Thresholds::UNLIMITED };
        let manager = ResourceManager::new(2, thresholds);
        bencher.bench_local(|| {
            matches!(manager.admit(black_box(WorkerId(0)), Kind::Connection), Admission::Admitted(_))
        });
    }

    /// A slot for a stream, and a stream on a connection that is there; both given back.
    #[divan::bench(args = ["limited", "unlimited"])]
    fn stream(bencher: Bencher<'_, '_>, limits: &str) {
        let thresholds = if limits == "limited" { Thresholds::ENVOY } else { Thresholds::UNLIMITED };
        let manager = Arc::new(ResourceManager::new(2, thresholds));
        let pool: IdlePool<Link, Link> = IdlePool::new(2, Arc::clone(&manager));
        let (worker, host) = (WorkerId(0), HostKey(1));
        let permit = manager.try_connect().unwrap();
        let (_first, guard) = pool.begin(worker, host, permit, u32::MAX);
        guard.opened(Link, 100, Instant::ZERO);
        let mut cx = Context::from_waker(Waker::noop());
        bencher.bench_local(|| {
            let slot = manager.admit(black_box(worker), Kind::Stream);
            let StreamCheckout::Ready(StreamFound::Lease(mut lease)) =
                pool.checkout_stream(worker, host, |_| true)
            else {
                return false;
            };
            let ready = lease.poll_open(&mut cx).is_ready();
            let kept = lease.finish(Instant::ZERO).is_none();
            drop(slot);
            ready && kept
        });
    }

    /// Everything is taken, and so is the queue.
    #[divan::bench]
    fn refusal(bencher: Bencher<'_, '_>) {
        let manager = full(0);
        let _all = manager.admit(WorkerId(0), Kind::Connection);
        bencher.bench_local(|| {
            matches!(manager.admit(black_box(WorkerId(0)), Kind::Connection), Admission::Refused(_))
        });
    }

    /// A request waits, the slot is given back to it, and it gives it back.
    #[divan::bench]
    fn queued(bencher: Bencher<'_, '_>) {
        let manager = full(1);
        let mut cx = Context::from_waker(Waker::noop());
        bencher.bench_local(|| {
            let first = manager.admit(WorkerId(0), Kind::Connection);
            let Admission::Queued(mut waiter) = manager.admit(black_box(WorkerId(0)), Kind::Connection)
            else {
                return false;
            };
            drop(first);
            waiter.poll_slot(&mut cx).is_ready()
        });
    }

    fn full(waiters: u32) -> ResourceManager {
        let thresholds =
            Thresholds { max_connections: 1, max_pending_requests: waiters, ..Thresholds::UNLIMITED };
        ResourceManager::new(2, thresholds)
    }
}

#[divan::bench_group(sample_size = 1_000, sample_count = 200)]
mod balance {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use divan::{Bencher, black_box};
    use fuseboard_core::balance::{Balancer, HostEntry, HostLoad, HostSet, LbPolicy};
    use fuseboard_core::outlier::{HealthEpoch, HostMonitor, OutlierPolicy};
    use fuseboard_core::{Instant, Outcome, Rng};

    const NOW: Instant = Instant::from_millis(1_000);

    fn hosts(count: u32, weight: impl Fn(u32) -> u32) -> Arc<HostSet> {
        let hosts: Vec<HostEntry> = (0..count)
            .map(|host| HostEntry {
                weight: NonZeroU32::new(weight(host)).unwrap(),
                healthy: true,
                load: Arc::new(HostLoad::default()),
                monitor: Some(Arc::new(HostMonitor::new(host.to_string(), 0))),
                breaker: None,
            })
            .collect();
        Arc::new(HostSet::new(hosts, 0, Arc::new(HealthEpoch::default())))
    }

    #[divan::bench(args = [8, 100, 1_000])]
    fn pick(bencher: Bencher<'_, '_>, count: u32) {
        let mut balancer = Balancer::new(LbPolicy::LeastRequest, hosts(count, |_| 1));
        let mut rng = Rng::new(1);
        bencher.bench_local(move || balancer.pick(black_box(NOW), &mut rng));
    }

    #[divan::bench(args = [8, 100, 1_000])]
    fn pick_by_weight(bencher: Bencher<'_, '_>, count: u32) {
        let mut balancer = Balancer::new(LbPolicy::LeastRequest, hosts(count, |host| 1 + host % 3));
        let mut rng = Rng::new(1);
        bencher.bench_local(move || balancer.pick(black_box(NOW), &mut rng));
    }

    /// A good answer of a healthy host, as its monitor sees it.
    #[divan::bench]
    fn record(bencher: Bencher<'_, '_>) {
        let (monitor, policy) = (HostMonitor::new("host", 0), OutlierPolicy::default());
        bencher.bench_local(|| {
            let ticket = monitor.begin();
            monitor.record(ticket, black_box(Outcome::of_status(200)), &policy).is_none()
        });
    }
}
