//! Detectors of rates through real sockets: what a sweep ejects, what it counts and closes, and who is told.

use std::time::Duration;

use fuseboard_core::balance::LbPolicy;
use fuseboard_core::outlier::{DetectionKind, Detector, FailurePercentagePolicy, OutlierPolicy};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_testkit::{Behaviour, Gate, Reply, Script, Upstream, settle};

use crate::rig::{Draft, Rig, WORKERS, limits, options};

const LONG: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_millis(5);

/// Of five calls or more, one in five may not fail; nothing else ejects, and no sweep comes.
fn one_in_five() -> OutlierPolicy {
    OutlierPolicy {
        interval: LONG,
        base_ejection_time: LONG,
        max_ejection_time: LONG,
        max_ejection_percent: 100,
        consecutive_5xx: Detector { threshold: 0, enforcing_percent: 0 },
        consecutive_gateway_failure: Detector { threshold: 0, enforcing_percent: 0 },
        failure_percentage: Some(FailurePercentagePolicy {
            threshold: 20,
            minimum_hosts: 1,
            request_volume: 5,
            ..FailurePercentagePolicy::default()
        }),
        ..OutlierPolicy::default()
    }
}

fn sweep_soon(draft: &mut Draft) {
    draft.cluster.outlier.as_mut().unwrap().interval = SOON;
}

#[tokio::test]
async fn p12_a_host_that_fails_now_and_then_is_ejected_by_the_sweep() {
    for workers in WORKERS {
        let good = Upstream::start(Script::ok("good")).await;
        let flaky = Upstream::start(Script::by({
            let calls = std::sync::atomic::AtomicU32::new(0);
            move |_| {
                let nth = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Behaviour::answer(&if nth % 4 == 3 { Reply::status(500) } else { Reply::ok("flaky") })
            }
        }))
        .await;
        let mut rig = Rig::start_with(options(workers), &[good.address(), flaky.address()], |draft| {
            draft.cluster.outlier = Some(one_in_five());
            draft.cluster.lb = LbPolicy::RoundRobin;
        });
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(rig.client().await);
        }
        for _ in 0..20 {
            for client in &mut clients {
                client.get("a", "/").await;
            }
        }
        assert!(flaky.counts().requests >= 20, "{workers} workers: {:?}", flaky.counts());
        let hosts = || rig.proxy.live().cluster("rig").unwrap().hosts.clone();
        assert!(hosts().iter().all(|host| !host.monitor.is_ejected()), "a failure alone ejects nobody");
        rig.apply(sweep_soon);
        let hosts = rig.cluster().hosts.clone();
        assert!(settle(Duration::from_secs(5), || hosts[1].monitor.is_ejected()).await);
        assert!(!hosts[0].monitor.is_ejected());
        assert!(settle(Duration::from_secs(5), || hosts[1].connections() == 0).await, "idle ones are closed");
        let before = flaky.counts().requests;
        for client in &mut clients {
            assert_eq!(client.get("a", "/").await.text(), "good");
        }
        assert_eq!(flaky.counts().requests, before);
        let numbers = rig.numbers();
        for (name, value) in [
            ("ejections_detected_failure_percentage", 1),
            ("ejections_enforced_failure_percentage", 1),
            ("ejections_enforced_total", 1),
            ("ejections_active", 1),
            ("ejections_detected_success_rate", 0),
            ("ejections_detected_local_origin_failure_percentage", 0),
        ] {
            assert_eq!(numbers.get(&format!("outlier_detection.{name}")), value, "{name}");
        }
        let view = rig.cluster().live.ejections().unwrap();
        let ejection = view.hosts[1].ejection.unwrap();
        assert_eq!(ejection.by, DetectionKind::FailurePercentage);
        let volume = ejection.evidence.unwrap().volume;
        assert_eq!((u64::from(volume.requests), volume.failures), (before as u64, volume.requests / 4));
    }
}

#[tokio::test]
async fn those_who_wait_for_the_last_host_are_told_when_a_sweep_ejects_it() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::status(503)))).await;
        let mut rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.outlier = Some(one_in_five());
            draft.cluster.thresholds.default = limits(1, 1, u32::MAX);
        });
        let (mut first, mut second) = (rig.client().await, rig.client().await);
        for _ in 0..5 {
            assert_eq!(first.get("a", "/").await.status, 503);
        }
        let gate = Gate::new();
        upstream.follow(Script::always(Behaviour::answer(&Reply::ok("late")).after(&gate)));
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.requests == 6).await;
        second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until_pending(1).await;
        rig.apply(sweep_soon);
        assert_eq!(second.response().await.status, 503);
        assert_eq!(rig.refused(RefusalReason::NoHealthy), 1);
        gate.open();
        assert_eq!(first.response().await.text(), "late", "what runs there ends there");
        rig.until_idle().await;
    }
}
