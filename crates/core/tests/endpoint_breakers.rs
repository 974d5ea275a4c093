//! Breakers of single endpoints behind a balancer, in virtual time: who gets a call, who gets none, and when nobody does.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[expect(dead_code, reason = "shared with the random runs")]
mod endpoints;

use std::num::NonZeroU32;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use endpoints::{Cluster, NotSent};
use fuseboard_core::balance::{Balancer, LbPolicy, Outlook, Taken};
use fuseboard_core::breaker::{
    Breaker, BreakerPolicy, Force, HalfOpenPolicy, Mode, OpenPolicy, Override, Percent, RampPolicy, Refusal,
    RefusedBy, SlowPolicy, State, Transition, TripPolicy,
};
use fuseboard_core::{FailureKind, Instant, Outcome, Rng};

const OK: Outcome = Outcome::Success { status: 200 };
const BAD: Outcome = Outcome::Failure(FailureKind::Status(503));
const POLICIES: [LbPolicy; 3] = [LbPolicy::LeastRequest, LbPolicy::RoundRobin, LbPolicy::Random];

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// Three failures in a row open it for a second, each time; two good probes close it.
fn quick() -> BreakerPolicy {
    BreakerPolicy {
        trip: TripPolicy { consecutive_failures: Some(n(3)), ..TripPolicy::default() },
        open: OpenPolicy { open_for: millis(1_000), factor: 1.0, jitter_percent: 0, ..OpenPolicy::default() },
        half_open: HalfOpenPolicy { successes: n(2), ..HalfOpenPolicy::default() },
        ..BreakerPolicy::default()
    }
}

fn refused(by: RefusedBy, millis: u64) -> NotSent {
    NotSent::Refused(Refusal { by, retry_after: Duration::from_millis(millis) })
}

/// Opens the breaker of `host` at `now`.
fn open(cluster: &Cluster, host: usize, now: Instant) {
    let order =
        Override { force: Force::Open, until: now + millis(1), reason: "down".into(), by: "a test".into() };
    cluster.note(host, cluster.breakers[host].force(order, now));
    // Half-open when that is over; a failed probe then is a trip like any other.
    let soon = now + millis(1);
    let (ticket, transitions) = cluster.recorders[0][host].admit(soon, &mut cluster.rng.borrow_mut());
    cluster.note(host, transitions);
    cluster.record(host, ticket.unwrap(), BAD, soon);
    assert_eq!(cluster.breakers[host].state(), State::Open);
}

#[test]
fn p05_a_host_that_is_down_costs_its_probes_only_and_comes_back_in_steps_after_its_successes() {
    const HOSTS: usize = 4;
    let ramp = RampPolicy { ramp_for: millis(4_000), ..RampPolicy::default() };
    for lb in POLICIES {
        let cluster = Cluster::new(HOSTS, 2, lb, 0, &BreakerPolicy { ramp: ramp.clone(), ..quick() });
        // Host 0 is down for ten open times, then well. A call each millisecond.
        let back = 11_000;
        let mut failed_in = vec![0; 12];
        let mut sent_by_step = [0_u32; 4];
        let mut closed_at = None;
        for now in 0..20_000_u64 {
            let worker = usize::from(now % 2 == 0);
            let (host, ticket) = cluster.send(worker, at(now)).unwrap();
            let down = host == 0 && now < back;
            if down {
                failed_in[usize::try_from(now / 1_000).unwrap()] += 1;
            }
            if let Some(closed) = closed_at
                && host == 0
                && now < closed + 4_000
            {
                sent_by_step[usize::try_from((now - closed) / 1_000).unwrap()] += 1;
            }
            cluster.record(host, ticket, if down { BAD } else { OK }, at(now));
            let closes = |(_, one): &(usize, Transition)| one.cause.token() == "probes_succeeded";
            if closed_at.is_none() && cluster.log.borrow().last().is_some_and(closes) {
                closed_at = Some(now);
            }
            cluster.tick(at(now));
        }
        assert_eq!(failed_in[0], 3, "{lb:?}: as many as the policy says before it knows");
        assert!(
            failed_in[1..].iter().all(|failed| *failed <= 1),
            "{lb:?}: one probe for each time: {failed_in:?}"
        );
        let probes: Vec<_> =
            cluster.log.borrow().iter().map(|(host, one)| (*host, one.cause.token())).collect();
        assert!(probes.iter().all(|(host, _)| *host == 0), "the others were never touched");
        assert_eq!(probes[probes.len() - 2..], [(0, "probes_succeeded"), (0, "ramp_completed")], "{lb:?}");
        // Its fair share is a quarter; of that, 10, 25, 50 and 100 percent.
        assert!(sent_by_step.is_sorted(), "{lb:?}: {sent_by_step:?}");
        for (sent, share) in sent_by_step.into_iter().zip([25_u32, 62, 125, 250]) {
            assert!(sent.abs_diff(share) <= share / 3 + 5, "{lb:?}: {sent_by_step:?}");
        }
    }
}

#[test]
fn p30_one_frozen_pod_is_out_of_rotation_in_about_one_threshold_though_nothing_timed_out() {
    let slow = SlowPolicy { slower_than: millis(200), percent: Percent::new(50).unwrap() };
    let trip = TripPolicy { slow: Some(slow), minimum_calls: 3, ..TripPolicy::default() };
    let policy = BreakerPolicy { trip, ..quick() };
    let cluster = Cluster::new(3, 2, LbPolicy::RoundRobin, 0, &policy);
    let (mut hanging, mut frozen_at, mut out_at) = (Vec::new(), None, None);
    for now in (0..5_000_u64).step_by(5) {
        let (host, ticket) = cluster.send(usize::from(now % 2 == 0), at(now)).unwrap();
        if host == 2 && now >= 1_000 {
            frozen_at.get_or_insert(now);
            hanging.push(ticket);
            assert!(out_at.is_none_or(|out| now >= out + 1_000), "open, it gets nothing");
        } else {
            cluster.record(host, ticket, OK, at(now));
        }
        for worker in 0..2 {
            cluster.sweep(worker, at(now));
        }
        if cluster.breakers[2].state() == State::Open {
            out_at.get_or_insert(now);
        }
    }
    let took = out_at.unwrap() - frozen_at.unwrap();
    // The calls before the freeze were good: they hold the share down until as many hang.
    assert!((200..=1_300).contains(&took), "{took} ms");
    assert!([0, 1].iter().all(|host| cluster.breakers[*host].view(at(5_000)).trips == 0));
    drop(hanging);
}

#[test]
fn p44_each_of_a_hundred_cycles_takes_the_same_number_of_failures() {
    let mut policy = quick();
    policy.half_open.successes = n(1);
    let cluster = Cluster::new(3, 1, LbPolicy::RoundRobin, 0, &policy);
    let mut now = 0;
    for cycle in 0..100 {
        let mut failures = 0;
        while cluster.breakers[1].state() == State::Closed {
            now += 1;
            let (host, ticket) = cluster.send(0, at(now)).unwrap();
            failures += u32::from(host == 1);
            cluster.record(host, ticket, if host == 1 { BAD } else { OK }, at(now));
        }
        assert_eq!(failures, 3, "cycle {cycle}");
        now += 1_000;
        while cluster.breakers[1].state() != State::Closed {
            now += 1;
            let (host, ticket) = cluster.send(0, at(now)).unwrap();
            cluster.record(host, ticket, OK, at(now));
        }
    }
}

#[test]
fn half_open_never_more_than_its_probes_and_who_finds_them_out_goes_to_another_host() {
    for lb in POLICIES {
        let mut policy = quick();
        policy.half_open.probes = n(2);
        let cluster = Cluster::new(3, 2, lb, 0, &policy);
        open(&cluster, 0, at(0));
        let mut held = Vec::new();
        for call in 0..60 {
            held.push(cluster.send(call % 2, at(1_100)).unwrap());
        }
        let at_first = held.iter().filter(|(host, _)| *host == 0).count();
        assert_eq!(at_first, 2, "{lb:?}");
        assert!(held.iter().filter(|(host, _)| *host == 0).all(|(_, ticket)| ticket.is_probe()));
    }
}

#[test]
fn only_when_no_other_host_can_take_it_a_call_is_refused_because_the_probes_are_out() {
    let cluster = Cluster::new(2, 1, LbPolicy::RoundRobin, 0, &quick());
    open(&cluster, 0, at(0));
    open(&cluster, 1, at(500));
    // Host 0 is half-open from 1001 on, host 1 from 1501 on.
    let (host, _probe) = cluster.send(0, at(1_100)).unwrap();
    assert_eq!(host, 0);
    let outlook = cluster.balancer(0).outlook(at(1_100), &mut cluster.rng.borrow_mut());
    let expected = Refusal { by: RefusedBy::ProbeBusy, retry_after: millis(401) };
    assert_eq!(outlook, Outlook::Refused(expected));
    assert_eq!(
        cluster.send(0, at(1_100)).err(),
        Some(NotSent::Refused(expected)),
        "until host 1 may be probed"
    );
    let (other, _) = cluster.send(0, at(1_501)).unwrap();
    assert_eq!(other, 1);
}

#[test]
fn with_all_open_the_refusal_says_when_the_first_may_be_probed() {
    for lb in POLICIES {
        let cluster = Cluster::new(3, 1, lb, 0, &quick());
        for (host, now) in [(2, 0), (0, 100), (1, 200)] {
            open(&cluster, host, at(now));
        }
        assert_eq!(cluster.send(0, at(300)).err(), Some(refused(RefusedBy::Open, 701)));
        let outlook = cluster.balancer(0).outlook(at(400), &mut cluster.rng.borrow_mut());
        let first = Refusal { by: RefusedBy::Open, retry_after: millis(601) };
        assert_eq!((outlook, cluster.set.refusal(at(400))), (Outlook::Refused(first), Some(first)));
        assert_eq!(cluster.send(0, at(1_000)).err(), Some(refused(RefusedBy::Open, 1)));
        let (host, ticket) = cluster.send(0, at(1_001)).unwrap();
        assert!(
            host == 2 && ticket.is_probe(),
            "time alone brings it back: nothing was told to the balancer"
        );
    }
}

#[test]
fn on_the_ramp_the_rest_goes_to_others_and_is_refused_only_without_them() {
    let ramp = RampPolicy { ramp_for: millis(400), ..RampPolicy::default() };
    let policy = BreakerPolicy { ramp, ..quick() };
    let alone = Cluster::new(1, 1, LbPolicy::RoundRobin, 0, &policy);
    open(&alone, 0, at(0));
    for _ in 0..2 {
        let (host, ticket) = alone.send(0, at(1_001)).unwrap();
        alone.record(host, ticket, OK, at(1_001));
    }
    let sent = (0..100).filter(|_| alone.send(0, at(1_002)).is_ok()).count();
    assert_eq!(sent, 10, "a tenth, as of a destination");
    let last = std::iter::repeat_with(|| alone.send(0, at(1_002)).err()).take(2).flatten().last();
    assert_eq!(last, Some(refused(RefusedBy::Ramp, 99)), "until the next step");
    let outlook = alone.balancer(0).outlook(at(1_002), &mut alone.rng.borrow_mut());
    assert_eq!(outlook, Outlook::Hosts, "it may take the next one");

    let pair = Cluster::new(2, 1, LbPolicy::RoundRobin, 0, &policy);
    open(&pair, 0, at(0));
    while pair.breakers[0].state() != State::Closed {
        let (host, ticket) = pair.send(0, at(1_001)).unwrap();
        pair.record(host, ticket, OK, at(1_001));
    }
    let sent: Vec<usize> = (0..200).map(|_| pair.send(0, at(1_002)).unwrap().0).collect();
    let share = sent.iter().filter(|host| **host == 0).count();
    assert!((9..=11).contains(&share), "a tenth of its half: {share} of 200");
}

#[test]
fn an_open_endpoint_gets_nothing_in_panic_either() {
    let cluster = Cluster::new(4, 1, LbPolicy::Random, 100, &quick());
    open(&cluster, 0, at(0));
    let hosts: Vec<usize> = (0..200).map(|_| cluster.send(0, at(10)).unwrap().0).collect();
    assert!(!hosts.contains(&0) && (1..4).all(|host| hosts.contains(&host)));
    assert!(cluster.set.available(at(10)) == 3 && !cluster.set.is_deserted(at(10)));
    for host in 1..4 {
        open(&cluster, host, at(20));
    }
    assert!(cluster.set.is_deserted(at(1_000)) && !cluster.set.is_deserted(at(1_001)));
}

#[test]
fn a_shadow_changes_no_choice() {
    let course = |mode, failing: bool| -> Vec<usize> {
        let cluster = Cluster::new(3, 1, LbPolicy::LeastRequest, 0, &BreakerPolicy { mode, ..quick() });
        let send = |now| {
            let (host, ticket) = cluster.send(0, at(now)).unwrap();
            cluster.record(host, ticket, if failing && host == 1 { BAD } else { OK }, at(now));
            host
        };
        let hosts = (0..1_000).map(send).collect();
        let view = cluster.breakers[1].view(at(1_000));
        assert_eq!((view.trips > 0, view.would_have_refused > 0), (failing, failing && mode == Mode::Shadow));
        hosts
    };
    let plain = course(Mode::Enforce, false);
    assert!(course(Mode::Shadow, true) == plain, "the same host for each call");
    assert!(course(Mode::Enforce, true) != plain);
}

#[test]
fn p56_half_open_of_an_endpoint_ends_in_bounded_time_though_no_probe_comes_back() {
    let mut policy = quick();
    (policy.half_open.lease, policy.half_open.patience) = (millis(100), millis(300));
    let cluster = Cluster::new(2, 1, LbPolicy::RoundRobin, 0, &policy);
    open(&cluster, 0, at(0));
    let mut lost = Vec::new();
    for now in 1_001..1_400 {
        let (host, ticket) = cluster.send(0, at(now)).unwrap();
        if host == 0 {
            lost.push(ticket);
        } else {
            cluster.record(host, ticket, OK, at(now));
        }
        cluster.tick(at(now));
    }
    assert_eq!(cluster.log.borrow().last().unwrap().1.cause.token(), "probes_lost");
    assert!(lost.len() <= 3, "one for each lease: {}", lost.len());
    drop(lost);
    assert_eq!(cluster.breakers[0].view(at(1_400)).probes_out, 0);
}

#[test]
fn p57_of_many_threads_at_the_instant_of_transition_as_many_reach_the_endpoint_as_it_has_probes() {
    const THREADS: usize = 16;
    let mut policy = quick();
    policy.half_open.probes = n(2);
    // One failed probe opens it again.
    for round in 0..50_u64 {
        let shared = Cluster::new(2, 1, LbPolicy::Random, 0, &policy);
        open(&shared, 0, at(0));
        let (breakers, set) = (shared.breakers.clone(), Arc::clone(&shared.set));
        let start = Barrier::new(THREADS);
        let probes: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS as u64)
                .map(|thread| {
                    let (breakers, set, start) = (&breakers, &set, &start);
                    scope.spawn(move || {
                        let recorders: Vec<_> = breakers.iter().map(Breaker::recorder).collect();
                        let mut balancer = Balancer::new(LbPolicy::Random, Arc::clone(set));
                        let mut rng = Rng::new(round * 100 + thread);
                        start.wait();
                        let mut held = Vec::new();
                        for _ in 0..20 {
                            let taken = balancer.pick_willing(
                                |_| false,
                                0,
                                at(1_500),
                                &mut rng,
                                |host, rng| {
                                    recorders[host].admit(at(1_500), rng).0.map(|ticket| (host, ticket))
                                },
                            );
                            let Taken::Host { ticket, .. } = taken else {
                                panic!("host 1 is there for everybody")
                            };
                            held.push(ticket);
                        }
                        start.wait();
                        held.iter().filter(|(host, _)| *host == 0).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(probes, 2, "round {round}");
    }
}
