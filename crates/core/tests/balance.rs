//! Balancing judged from outside: who may be chosen, how often, and what other workers notice, with fixed seeds.
#![cfg(not(loom))]
#![expect(clippy::panic, clippy::expect_used, reason = "a panic is how a test fails")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::balance::{Balancer, HostEntry, HostLoad, HostSet, LbPolicy, Outlook, Pick, Taken};
use fuseboard_core::breaker::{Refusal, RefusedBy};
use fuseboard_core::outlier::{Detector, HealthEpoch, HostMonitor, OutlierDetector, OutlierPolicy};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};
use proptest::prelude::*;

const NOW: Instant = Instant::from_millis(1_000);
const POLICIES: [LbPolicy; 3] = [LbPolicy::LeastRequest, LbPolicy::RoundRobin, LbPolicy::Random];

fn hosts(weights: &[u32]) -> Vec<HostEntry> {
    weights
        .iter()
        .map(|&weight| HostEntry {
            weight: NonZeroU32::new(weight).expect("a weight above 0"),
            healthy: true,
            load: Arc::new(HostLoad::default()),
            monitor: None,
            breaker: None,
        })
        .collect()
}

fn balancer(policy: LbPolicy, entries: Vec<HostEntry>, panic_threshold: u32) -> Balancer {
    Balancer::new(policy, Arc::new(HostSet::new(entries, panic_threshold, Arc::new(HealthEpoch::default()))))
}

fn chosen(pick: Pick) -> usize {
    match pick {
        Pick::Host { index, .. } => index,
        Pick::NoneHealthy { .. } => panic!("nobody was chosen"),
    }
}

/// How often each host was chosen in `picks` picks, none of which is in flight when the next is made.
fn shares(balancer: &mut Balancer, picks: usize) -> Vec<usize> {
    let mut rng = Rng::new(42);
    let mut counts = vec![0; balancer.hosts().hosts().len()];
    for _ in 0..picks {
        counts[chosen(balancer.pick(NOW, &mut rng))] += 1;
    }
    counts
}

fn assert_shares(counts: &[usize], expected: &[f64]) {
    let all: usize = counts.iter().sum();
    for (host, (&count, share)) in counts.iter().zip(expected).enumerate() {
        let measured = count as f64 / all as f64;
        assert!(
            (measured - share).abs() < 0.02,
            "host {host}: {measured:.3}, expected {share:.3}, of {counts:?}"
        );
    }
}

#[test]
fn idle_hosts_of_equal_weight_share_evenly_under_every_policy() {
    for policy in POLICIES {
        assert_shares(&shares(&mut balancer(policy, hosts(&[1; 5]), 0), 20_000), &[0.2; 5]);
    }
}

#[test]
fn the_busiest_of_ten_gets_only_what_both_choices_give_it() {
    let entries = hosts(&[1; 10]);
    let busy = Arc::clone(&entries[3].load);
    let _in_flight = [busy.begin(), busy.begin()];
    let counts = shares(&mut balancer(LbPolicy::LeastRequest, entries, 0), 50_000);
    let mut expected = [0.11; 10];
    expected[3] = 0.01;
    assert_shares(&counts, &expected);
}

#[test]
fn load_is_seen_across_workers_at_once() {
    let set = Arc::new(HostSet::new(hosts(&[1, 1]), 0, Arc::new(HealthEpoch::default())));
    let (mut one, mut other) = (
        Balancer::new(LbPolicy::LeastRequest, Arc::clone(&set)),
        Balancer::new(LbPolicy::LeastRequest, Arc::clone(&set)),
    );
    let mut rng = Rng::new(5);
    let first = chosen(one.pick(NOW, &mut rng));
    let _in_flight = set.hosts()[first].load.begin();
    let same = (0..1_000).filter(|_| chosen(other.pick(NOW, &mut rng)) == first).count();
    assert!((200..300).contains(&same), "only when both choices fall on it: {same} of 1000");
}

#[test]
fn d19_a_host_that_refuses_at_once_gets_no_more_than_its_share() {
    // 200 requests a second, each answered after 40 ms; host 0 refuses without delay.
    let entries = hosts(&[1; 10]);
    let set = Arc::new(HostSet::new(entries, 0, Arc::new(HealthEpoch::default())));
    let mut balancer = Balancer::new(LbPolicy::LeastRequest, Arc::clone(&set));
    let mut rng = Rng::new(11);
    let (mut refused, mut in_flight) = (0, std::collections::VecDeque::new());
    for request in 0..20_000_u64 {
        let now = Instant::from_millis(5 * request);
        while in_flight.front().is_some_and(|(until, _)| *until <= now) {
            in_flight.pop_front();
        }
        let index = chosen(balancer.pick(now, &mut rng));
        if index == 0 {
            refused += 1;
            set.hosts()[0].load.record(Outcome::Failure(FailureKind::ConnectFailed), now);
        } else {
            in_flight.push_back((now + Duration::from_millis(40), set.hosts()[index].load.begin()));
        }
    }
    assert!(refused <= 2_000, "{refused} of 20000");
    assert!(refused >= 100, "it is still asked now and then, or nobody would notice its return: {refused}");
}

#[test]
fn equal_weights_rotate_strictly_from_a_place_that_the_seed_gives() {
    let mut starts = Vec::new();
    for seed in 0..40 {
        let mut balancer = balancer(LbPolicy::RoundRobin, hosts(&[2; 4]), 0);
        let mut rng = Rng::new(seed);
        let picks: Vec<_> = (0..12).map(|_| chosen(balancer.pick(NOW, &mut rng))).collect();
        assert!(picks.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 4), "{picks:?}");
        starts.push(picks[0]);
    }
    assert!((0..4).all(|host| starts.contains(&host)));
}

#[test]
fn a_weighted_rotation_gives_each_its_weight_and_spreads_it() {
    let mut balancer = balancer(LbPolicy::RoundRobin, hosts(&[5, 1, 2]), 0);
    let mut rng = Rng::new(3);
    let picks: Vec<_> = (0..800).map(|_| chosen(balancer.pick(NOW, &mut rng))).collect();
    for window in picks.windows(8) {
        for (host, weight) in [5_usize, 1, 2].into_iter().enumerate() {
            let count = window.iter().filter(|&&picked| picked == host).count();
            assert!(count.abs_diff(weight) <= 1, "host {host} {count} times in {window:?}");
        }
    }
    assert!(
        picks.windows(4).all(|run| run.iter().any(|&host| host != 0)),
        "the heavy host never takes all in a row"
    );
}

#[test]
fn random_ignores_weights_as_envoy_does() {
    assert_shares(&shares(&mut balancer(LbPolicy::Random, hosts(&[9, 1, 1]), 0), 30_000), &[1.0 / 3.0; 3]);
}

#[test]
fn weighted_least_request_follows_weights_when_idle_and_load_when_busy() {
    let entries = hosts(&[3, 1]);
    let heavy = Arc::clone(&entries[0].load);
    let mut idle = balancer(LbPolicy::LeastRequest, entries.clone(), 0);
    assert_shares(&shares(&mut idle, 20_000), &[0.75, 0.25]);
    let _in_flight = [heavy.begin(), heavy.begin()];
    // 3 / (2 + 1) against 1 / (0 + 1).
    assert_shares(&shares(&mut balancer(LbPolicy::LeastRequest, entries, 0), 20_000), &[0.5, 0.5]);
}

#[test]
fn panic_begins_below_the_threshold_unless_the_level_counts_as_fully_available() {
    for all in 0_u32..=20 {
        for healthy in 0..=all {
            for threshold in 0..=100 {
                let mut entries = hosts(&vec![1; all as usize]);
                for entry in &mut entries[healthy as usize..] {
                    entry.healthy = false;
                }
                let percent = if all == 0 { 0.0 } else { 100.0 * f64::from(healthy) / f64::from(all) };
                let fully = all > 0 && (140 * healthy / all) >= 100;
                let panic = percent < f64::from(threshold) && !fully;
                let pick = balancer(LbPolicy::RoundRobin, entries, threshold).pick(NOW, &mut Rng::new(1));
                let case = format!("{healthy} of {all} healthy, threshold {threshold}");
                match pick {
                    Pick::Host { index, panic: told } => {
                        assert_eq!(told, panic, "{case}");
                        assert!(healthy > 0 || panic, "{case}");
                        assert!(panic || index < healthy as usize, "{case}");
                    }
                    Pick::NoneHealthy { panic: told } => {
                        assert_eq!(told, panic, "{case}");
                        assert!(all == 0 || (healthy == 0 && !panic), "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn in_panic_traffic_is_spread_over_all_hosts() {
    let mut entries = hosts(&[1; 4]);
    for entry in &mut entries[1..] {
        entry.healthy = false;
    }
    assert_shares(&shares(&mut balancer(LbPolicy::LeastRequest, entries.clone(), 50), 20_000), &[0.25; 4]);
    assert_shares(&shares(&mut balancer(LbPolicy::LeastRequest, entries, 0), 20_000), &[1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_further_try_goes_to_hosts_not_tried_yet_while_there_are_some() {
    let mut rng = Rng::new(8);
    let mut balancer = balancer(LbPolicy::RoundRobin, hosts(&[1; 3]), 0);
    let mut tried: Vec<usize> = Vec::new();
    for _ in 0..3 {
        let pick = balancer.pick_except(|index| tried.contains(&index), 5, NOW, &mut rng);
        tried.push(chosen(pick));
    }
    tried.sort_unstable();
    assert_eq!(tried, [0, 1, 2]);
}

/// Asks until a host that is none of `refusing` is asked: who that is, and whether the first one refused.
fn willing(
    balancer: &mut Balancer,
    tried: &[usize],
    refusing: &[usize],
    rng: &mut Rng,
) -> (Option<usize>, bool) {
    let refusal = Refusal { by: RefusedBy::Ramp, retry_after: Duration::from_secs(1) };
    let mut asked = 0;
    let taken = balancer.pick_willing(
        |index| tried.contains(&index),
        0,
        NOW,
        rng,
        |index, _| {
            asked += 1;
            if refusing.contains(&index) { Err(refusal) } else { Ok(()) }
        },
    );
    match taken {
        Taken::Host { index, .. } => (Some(index), asked > 1),
        other => {
            assert_eq!((other, asked), (Taken::Refused(refusal), balancer.hosts().hosts().len()));
            (None, true)
        }
    }
}

/// Who is taken in so many picks where the first host was chosen and refused.
fn after_a_refusal(balancer: &mut Balancer, tried: &[usize], picks: usize, rng: &mut Rng) -> Vec<usize> {
    (0..picks)
        .map(|_| willing(balancer, tried, &[0], rng))
        .filter_map(|(host, first_refused)| host.filter(|_| first_refused))
        .collect()
}

#[test]
fn where_a_host_refuses_those_not_tried_yet_come_first() {
    let mut balancer = balancer(LbPolicy::Random, hosts(&[1; 4]), 0);
    let mut rng = Rng::new(7);
    let others = after_a_refusal(&mut balancer, &[1, 2], 500, &mut rng);
    assert!(others.len() > 50 && others.iter().all(|host| *host == 3), "{others:?}");
    assert_eq!(willing(&mut balancer, &[1, 2], &[0, 3, 2], &mut rng).0, Some(1), "then those tried");
    assert_eq!(willing(&mut balancer, &[1, 2], &[0, 1, 2, 3], &mut rng).0, None);
}

#[test]
fn where_a_host_refuses_the_less_busy_of_two_others_is_asked() {
    let entries = hosts(&[1; 3]);
    let busy = Arc::clone(&entries[1].load);
    let _in_flight = [busy.begin(), busy.begin()];
    let mut balancer = balancer(LbPolicy::Random, entries, 0);
    let mut rng = Rng::new(7);
    let others = after_a_refusal(&mut balancer, &[], 30_000, &mut rng);
    let idle = others.iter().filter(|host| **host == 2).count() as f64 / others.len() as f64;
    assert!((idle - 0.625).abs() < 0.02, "five of the eight pairs that hold another: {idle:.3}");
}

#[test]
fn with_one_host_the_same_is_tried_again_and_without_attempts_nobody_is_left_out() {
    let mut rng = Rng::new(8);
    let mut alone = balancer(LbPolicy::LeastRequest, hosts(&[1]), 0);
    assert_eq!(alone.pick_except(|_| true, 5, NOW, &mut rng), Pick::Host { index: 0, panic: false });
    let asked = std::cell::Cell::new(0);
    let count = |_| {
        asked.set(asked.get() + 1);
        true
    };
    alone.pick_except(count, 5, NOW, &mut rng);
    assert_eq!(asked.get(), 5, "the sixth choice stands unasked");
    alone.pick_except(count, 0, NOW, &mut rng);
    assert_eq!(asked.get(), 5);
}

/// A cluster whose hosts each one 5xx ejects for a second.
struct Ejecting {
    set: Arc<HostSet>,
    detector: OutlierDetector,
    policy: OutlierPolicy,
}

impl Ejecting {
    fn new(weights: &[u32], panic_threshold: u32) -> Self {
        let policy = OutlierPolicy {
            interval: Duration::from_millis(500),
            base_ejection_time: Duration::from_secs(1),
            max_ejection_percent: 100,
            consecutive_5xx: Detector { threshold: 1, enforcing_percent: 100 },
            ..OutlierPolicy::default()
        };
        let epoch = Arc::new(HealthEpoch::default());
        let mut entries = hosts(weights);
        for (index, entry) in entries.iter_mut().enumerate() {
            entry.monitor = Some(Arc::new(HostMonitor::new(index.to_string(), 0)));
        }
        let monitors: Vec<_> = entries.iter().filter_map(|entry| entry.monitor.clone()).collect();
        let mut detector = OutlierDetector::new(policy.clone(), Arc::clone(&epoch), Instant::ZERO);
        detector.set_hosts(&monitors);
        Self { set: Arc::new(HostSet::new(entries, panic_threshold, epoch)), detector, policy }
    }

    fn eject(&mut self, host: usize, now: Instant) {
        let monitor = self.set.hosts()[host].monitor.as_ref().expect("every host has one");
        if let Some(trip) = monitor.record(monitor.begin(), Outcome::of_status(500), &self.policy) {
            self.detector.on_trip(monitor, trip, now, &mut Rng::new(1));
        }
    }
}

#[test]
fn d06_an_ejection_and_a_return_reach_every_balancer_with_the_next_pick() {
    for policy in POLICIES {
        for weights in [[1, 1], [2, 1]] {
            let mut cluster = Ejecting::new(&weights, 0);
            let mut workers = [0, 1].map(|_| Balancer::new(policy, Arc::clone(&cluster.set)));
            let mut rng = Rng::new(9);
            let mut picks = |workers: &mut [Balancer], host| {
                workers
                    .iter_mut()
                    .flat_map(|worker| (0..100).map(|_| worker.pick(NOW, &mut rng)).collect::<Vec<_>>())
                    .filter(|&pick| pick == Pick::Host { index: host, panic: false })
                    .count()
            };
            assert!(picks(&mut workers, 1) > 0);
            cluster.eject(1, Instant::from_millis(100));
            assert_eq!((picks(&mut workers, 1), picks(&mut workers, 0)), (0, 200), "{policy:?} {weights:?}");
            cluster.eject(0, Instant::from_millis(100));
            for worker in &mut workers {
                assert_eq!(worker.pick(NOW, &mut Rng::new(1)), Pick::NoneHealthy { panic: false });
            }
            cluster.detector.tick(Instant::from_millis(1_200), &mut Rng::new(1));
            assert!(picks(&mut workers, 1) > 0, "{policy:?} {weights:?}");
        }
    }
}

#[test]
fn the_only_host_ejected_is_used_in_panic_and_refused_without() {
    for (threshold, expected) in
        [(50, Pick::Host { index: 0, panic: true }), (0, Pick::NoneHealthy { panic: false })]
    {
        let mut cluster = Ejecting::new(&[1], threshold);
        assert!(cluster.set.available(NOW) == 1 && !cluster.set.is_deserted(NOW));
        cluster.eject(0, NOW);
        assert_eq!(cluster.set.is_deserted(NOW), threshold == 0);
        let mut balancer = Balancer::new(LbPolicy::LeastRequest, Arc::clone(&cluster.set));
        let outlook = if threshold == 0 { Outlook::NoneHealthy } else { Outlook::Hosts };
        assert_eq!(balancer.outlook(NOW, &mut Rng::new(1)), outlook);
        assert_eq!(balancer.pick(NOW, &mut Rng::new(1)), expected);
        assert_eq!(cluster.set.available(NOW), 0);
    }
}

proptest! {
    #[test]
    fn a_choice_is_available_or_all_are_in_panic_whatever_happens(
        weights in proptest::collection::vec(1_u32..4, 1..12),
        threshold in 0_u32..=100,
        policy in proptest::sample::select(&POLICIES),
        seed in any::<u64>(),
        steps in proptest::collection::vec((0_usize..12, any::<bool>()), 1..60),
    ) {
        let mut cluster = Ejecting::new(&weights, threshold);
        let mut balancer = Balancer::new(policy, Arc::clone(&cluster.set));
        let (mut rng, mut now) = (Rng::new(seed), 0);
        for (host, eject) in steps {
            now += 130;
            if eject {
                cluster.eject(host % weights.len(), Instant::from_millis(now));
            }
            cluster.detector.tick(Instant::from_millis(now), &mut Rng::new(1));
            let available = |index: usize| cluster.set.hosts()[index].is_available(NOW);
            match balancer.pick(Instant::from_millis(now), &mut rng) {
                Pick::Host { index, panic } => prop_assert!(panic || available(index)),
                Pick::NoneHealthy { .. } => prop_assert!(threshold == 0 && (0..weights.len()).all(|index| !available(index))),
            }
        }
    }

    #[test]
    fn a_weighted_rotation_is_never_off_by_more_than_one_turn_a_host(
        weights in proptest::collection::vec(1_u32..20, 2..8),
        seed in any::<u64>(),
    ) {
        let total: u32 = weights.iter().sum();
        let mut balancer = balancer(LbPolicy::RoundRobin, hosts(&weights), 0);
        let mut rng = Rng::new(seed);
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..total * 10 {
            counts[chosen(balancer.pick(NOW, &mut rng))] += 1;
        }
        for (count, weight) in counts.iter().zip(&weights) {
            prop_assert!(count.abs_diff(weight * 10) <= 2, "{counts:?} for {weights:?}");
        }
    }
}
