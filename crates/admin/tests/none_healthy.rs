//! P10: what `explain` says of each count of healthy hosts, against a balancer that has them.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod sample;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use fuseboard_admin::explain::{self, HealthOutcome};
use fuseboard_core::balance::{
    Balancer, HostEntry, HostLoad, HostSet, LbPolicy, NoneHealthy, NoneHealthyPolicy, Pick,
};
use fuseboard_core::outlier::{Detector, HealthEpoch, HostMonitor, OutlierDetector, OutlierPolicy};
use fuseboard_core::{Instant, Outcome, Rng};
use fuseboard_snapshot::{Cluster, Endpoint, EndpointId};

const ANSWERS: [NoneHealthy; 4] =
    [NoneHealthy::ByThreshold, NoneHealthy::Refuse, NoneHealthy::Spread, NoneHealthy::Fallback];

/// Everybody may be ejected, at the first failure.
fn detection() -> OutlierPolicy {
    OutlierPolicy {
        max_ejection_percent: 100,
        consecutive_5xx: Detector { threshold: 1, enforcing_percent: 100 },
        ..OutlierPolicy::default()
    }
}

fn cluster(hosts: usize, policy: NoneHealthyPolicy) -> Cluster {
    let mut cluster = (*sample::httpbin().cluster).clone();
    let template = cluster.endpoints[0].clone();
    cluster.endpoints = (0..hosts)
        .map(|host| {
            let address = ([127, 0, 0, 1], u16::try_from(9_000 + host).unwrap()).into();
            Endpoint { id: EndpointId::new("", address), address, ..template.clone() }
        })
        .collect();
    cluster.outlier = Some(detection());
    cluster.panic_threshold = policy.threshold;
    cluster.none_healthy = policy.answer;
    cluster
}

/// The hosts that a balancer sends to while the first `ejected` of `hosts` are out.
fn contacted(hosts: usize, ejected: usize, policy: NoneHealthyPolicy, lb: LbPolicy) -> BTreeSet<usize> {
    let epoch = Arc::new(HealthEpoch::default());
    let monitors: Vec<_> = (0..hosts).map(|host| Arc::new(HostMonitor::new(host.to_string(), 0))).collect();
    let mut detector = OutlierDetector::new(detection(), Arc::clone(&epoch), Instant::ZERO);
    detector.set_hosts(&monitors);
    let mut rng = Rng::new(7);
    for monitor in &monitors[..ejected] {
        let trip = monitor.record(monitor.begin(), Outcome::of_status(500), &detection()).unwrap();
        assert_eq!(detector.on_trip(monitor, trip, Instant::ZERO, &mut rng).len(), 1);
    }
    let entries: Vec<_> = monitors
        .iter()
        .map(|monitor| HostEntry {
            weight: NonZeroU32::MIN,
            healthy: true,
            load: Arc::new(HostLoad::default()),
            monitor: Some(Arc::clone(monitor)),
            breaker: None,
        })
        .collect();
    let set = HostSet::new(entries, policy.threshold, epoch).when_none_healthy(policy.answer);
    let mut balancer = Balancer::new(lb, Arc::new(set));
    let picks = (0..400).map(|_| balancer.pick(Instant::ZERO, &mut rng));
    picks.filter_map(|pick| if let Pick::Host { index, .. } = pick { Some(index) } else { None }).collect()
}

#[test]
fn p10_for_each_count_of_ejected_hosts_what_happens_is_what_was_printed() {
    for hosts in 1..=10 {
        for answer in ANSWERS {
            for threshold in [0, 30, 50, 100] {
                let policy = NoneHealthyPolicy { threshold, answer };
                let explained = explain::of_cluster(&cluster(hosts, policy), None, true);
                for ejected in 0..=hosts {
                    let healthy = hosts - ejected;
                    let what = format!("{healthy} of {hosts} healthy, {threshold} %, {answer:?}");
                    let printed: Vec<&HealthOutcome> = explained
                        .when_healthy
                        .iter()
                        .filter(|outcome| (outcome.least..=outcome.most).contains(&healthy))
                        .collect();
                    assert_eq!(printed.len(), 1, "{what}: {:?}", explained.when_healthy);
                    let expected: BTreeSet<usize> = match printed[0].requests.as_str() {
                        "healthy" => (ejected..hosts).collect(),
                        "all" => (0..hosts).collect(),
                        "refused" => BTreeSet::new(),
                        other => unreachable!("{other}"),
                    };
                    for lb in [LbPolicy::LeastRequest, LbPolicy::RoundRobin, LbPolicy::Random] {
                        assert_eq!(contacted(hosts, ejected, policy, lb), expected, "{what}, {lb:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_sentences_say_the_same_in_words() {
    let sentences = |hosts, threshold, answer| {
        explain::of_cluster(&cluster(hosts, NoneHealthyPolicy { threshold, answer }), None, true).ejection
    };
    let told = |hosts, threshold, answer| sentences(hosts, threshold, answer).pop().unwrap();
    assert_eq!(
        told(4, 50, NoneHealthy::ByThreshold),
        "With 2 to 4 healthy hosts, those get the requests; with 0 or 1, all hosts, ejected ones too."
    );
    assert_eq!(
        told(2, 0, NoneHealthy::Spread),
        "With 1 or 2 healthy hosts, those get the requests; with 0, all hosts, ejected ones too."
    );
    assert_eq!(
        told(3, 0, NoneHealthy::Refuse),
        "With 1 to 3 healthy hosts, those get the requests; with 0, every request is refused with 503 (UH, no_healthy)."
    );
}
