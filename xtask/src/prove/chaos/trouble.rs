//! What the chaos is made of: configuration that changes, hosts that come, go, die and hang, workers that stand still, descriptors that run out.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fuseboard_core::Rng;
use fuseboard_core::balance::LbPolicy;
use fuseboard_core::breaker::{BreakerPolicy, OpenPolicy, TripPolicy};
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_core::outlier::{Detector, OutlierPolicy};
use fuseboard_snapshot::{BreakerScope, ClusterBreaker, Provenance, UpstreamHttp, UpstreamVersion};
use fuseboard_testkit::ClusterSketch;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Stage;
use crate::prove::setup::limits;

/// 20 a second.
const BETWEEN_PUSHES: Duration = Duration::from_millis(50);

/// Bound of an exchange in all configurations.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A time between two bounds, in milliseconds.
fn between(rng: &mut Rng, from: u32, to: u32) -> Duration {
    Duration::from_millis(u64::from(from + rng.below(to - from)))
}

impl Stage {
    fn is_over(&self) -> bool {
        Instant::now() >= self.book.until
    }

    /// Another configuration of the same cluster, 20 times a second.
    pub(super) async fn push(self: Rc<Self>, mut rng: Rng) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(BETWEEN_PUSHES);
        while !self.is_over() {
            tick.tick().await;
            let mut rig = self.rig.borrow_mut();
            let sketch = draw(&mut rng, rig.sketch(), rig.origin.addresses());
            rig.apply(sketch)?;
            drop(rig);
            self.did.pushes.set(self.did.pushes.get() + 1);
        }
        Ok(())
    }

    /// Hosts die, with what they had in hand, and come back.
    pub(super) async fn kill(self: Rc<Self>, mut rng: Rng) -> anyhow::Result<()> {
        let hosts = self.rig.borrow().origin.addresses().len();
        while !self.is_over() {
            tokio::time::sleep(between(&mut rng, 20, 200)).await;
            let host = rng.below(u32::try_from(hosts)?) as usize;
            self.rig.borrow().origin.kill(host);
            self.did.kills.set(self.did.kills.get() + 1);
            // Every other one is back before somebody else asks for it.
            let absent = if rng.below(2) == 0 { Duration::from_millis(1) } else { between(&mut rng, 5, 150) };
            tokio::time::sleep(absent).await;
            self.rig.borrow().origin.revive(host);
        }
        Ok(())
    }

    /// No host answers for a while, sometimes for longer than anybody may wait.
    pub(super) async fn hang(self: Rc<Self>, mut rng: Rng) -> anyhow::Result<()> {
        while !self.is_over() {
            tokio::time::sleep(between(&mut rng, 500, 1_500)).await;
            self.rig.borrow().origin.hold();
            tokio::time::sleep(between(&mut rng, 10, 400)).await;
            if rng.below(6) == 0 {
                tokio::time::sleep(TIMEOUT).await;
            }
            self.rig.borrow().origin.open();
        }
        self.rig.borrow().origin.open();
        Ok(())
    }

    /// A worker stands still for half a second, every two or three.
    pub(super) async fn stall(self: Rc<Self>, mut rng: Rng) -> anyhow::Result<()> {
        while !self.is_over() {
            tokio::time::sleep(between(&mut rng, 1_500, 2_500)).await;
            self.stall.arm();
        }
        Ok(())
    }

    /// For a while nobody in this process can open anything: neither the proxy, nor its callers and hosts.
    pub(super) async fn starve(self: Rc<Self>, mut rng: Rng) -> anyhow::Result<()> {
        while !self.is_over() {
            tokio::time::sleep(between(&mut rng, 2_000, 4_000)).await;
            let before = getrlimit(Resource::Nofile);
            // Descriptors that are open stay so.
            setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: before.maximum })?;
            tokio::time::sleep(between(&mut rng, 50, 300)).await;
            setrlimit(Resource::Nofile, before)?;
            self.did.starved.set(self.did.starved.get() + 1);
        }
        Ok(())
    }
}

/// The cluster with other limits, detectors, breakers, protocols and hosts than before.
fn draw(rng: &mut Rng, before: &ClusterSketch, hosts: &[std::net::SocketAddr]) -> ClusterSketch {
    let mut sketch = before.clone();
    sketch.timeout = Some(TIMEOUT);
    match rng.below(6) {
        0 => sketch.thresholds = thresholds(rng),
        1 => sketch.outlier = (rng.below(2) == 0).then(touchy),
        2 => sketch.breaker = breaker(rng),
        3 => {
            sketch.hosts = hosts.iter().copied().filter(|_| rng.below(3) > 0).collect();
        }
        4 => {
            let versions = [UpstreamVersion::Http1, UpstreamVersion::Http2, UpstreamVersion::Client];
            let version = versions[rng.below(3) as usize];
            sketch.http = UpstreamHttp { version, ..UpstreamHttp::default() };
        }
        _ => {
            sketch.max_requests = NonZeroU32::new(rng.below(4));
            let policies = [LbPolicy::LeastRequest, LbPolicy::RoundRobin, LbPolicy::Random];
            sketch.lb = policies[rng.below(3) as usize];
        }
    }
    sketch
}

fn thresholds(rng: &mut Rng) -> Thresholds {
    match rng.below(4) {
        0 => Thresholds::UNLIMITED,
        1 => limits(UNLIMITED, UNLIMITED, 8 + rng.below(40)),
        _ => limits(
            1 + rng.below(24),
            rng.below(40),
            if rng.below(2) == 0 { UNLIMITED } else { 1 + rng.below(32) },
        ),
    }
}

/// Ejects after five failures in a row, all hosts if it has to, for a moment.
fn touchy() -> OutlierPolicy {
    OutlierPolicy {
        interval: Duration::from_millis(30),
        base_ejection_time: Duration::from_millis(30),
        max_ejection_time: Duration::from_millis(100),
        max_ejection_percent: 100,
        consecutive_5xx: Detector { threshold: 5, enforcing_percent: 100 },
        ..OutlierPolicy::default()
    }
}

/// None, one for the cluster, or one for each host: it opens after five failures in a row, for a moment.
fn breaker(rng: &mut Rng) -> Option<ClusterBreaker> {
    let scope = match rng.below(3) {
        0 => return None,
        1 => BreakerScope::Destination,
        _ => BreakerScope::Endpoint,
    };
    let trip = TripPolicy { consecutive_failures: NonZeroU32::new(5), ..TripPolicy::default() };
    let open = OpenPolicy { open_for: Duration::from_millis(30), factor: 1.0, ..OpenPolicy::default() };
    let policy = BreakerPolicy { trip, open, ..BreakerPolicy::default() };
    Some(ClusterBreaker { scope, policy, rules: Vec::new(), provenance: Provenance::default() })
}
