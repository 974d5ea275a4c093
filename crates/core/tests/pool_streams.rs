//! Streams and HTTP/1.1 requests of one cluster, from admission to the last byte, in every order that a seed gives: what is open and
//! what runs never exceeds its bound, whoever waits is woken, nothing that is there is withheld, and everything comes back.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod streams;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use fuseboard_core::limit::{CxPermit, Kind, ResourceManager, Thresholds, UNLIMITED, WorkerId};
use fuseboard_core::pool::{
    Checkout, Found, Guard, HostKey, IdlePool, Lease, Lost, StreamCheckout, StreamFound,
};
use fuseboard_core::{Instant, Rng};
use streams::{Chaos, Flag, Item, Link, World};

const ONE: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);
const HOST: HostKey = HostKey(1);
const OTHER_HOST: HostKey = HostKey(2);

fn limits(connections: u32, pending: u32, requests: u32) -> Thresholds {
    Thresholds {
        max_connections: connections,
        max_pending_requests: pending,
        max_requests: requests,
        ..Thresholds::UNLIMITED
    }
}

/// Clusters around each bound, with peers and callers that do whatever they like.
#[test]
fn whatever_happens_bounds_hold_nobody_is_forgotten_and_all_comes_back() {
    for seed in 0..3_000 {
        let mut rng = Rng::new(seed);
        let connections = 1 + rng.below(4);
        let streams = [1, 2, 3, 4, i32::MAX.cast_unsigned()][rng.below(5) as usize];
        let slots = connections.saturating_mul(streams);
        let requests = match rng.below(4) {
            0 => 1 + rng.below(6),
            1 => slots.saturating_add(rng.below(3)),
            _ => UNLIMITED,
        };
        let connections = if rng.below(8) == 0 { UNLIMITED } else { connections };
        let chaos = Chaos {
            kinds: [&[Kind::Stream][..], &[Kind::Stream, Kind::Connection], &[Kind::Connection]]
                [rng.below(3) as usize],
            offers_zero: rng.below(3) == 0,
            changes: rng.below(3) == 0,
            gives_up: rng.below(2) == 0,
            hosts: 1 + u64::from(rng.below(3)),
            callers: 1 + rng.below(14),
        };
        let mut world = World::new(limits(connections, rng.below(5), requests), streams, chaos, seed);
        world.run(120);
        world.drain();
    }
}

/// However connections fail, are recycled, offer less (but something) or sit idle elsewhere.
#[test]
fn callers_that_fit_are_never_refused() {
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let (connections, pending) = (1 + rng.below(4), rng.below(4));
        let streams = 1 + rng.below(4);
        let chaos = Chaos {
            kinds: [&[Kind::Stream][..], &[Kind::Stream, Kind::Connection]][rng.below(2) as usize],
            offers_zero: false,
            changes: false,
            gives_up: rng.below(2) == 0,
            hosts: 1 + u64::from(rng.below(3)),
            callers: connections + pending,
        };
        let mut world = World::new(limits(connections, pending, UNLIMITED), streams, chaos, seed);
        world.run(120);
        world.drain();
        assert_eq!(world.refused, 0, "seed {seed}");
    }
}

struct Plain {
    manager: Arc<ResourceManager>,
    pool: IdlePool<Item, Link>,
}

fn plain(connections: u32, streams: u32) -> Plain {
    let manager = Arc::new(ResourceManager::new(2, limits(connections, 100, UNLIMITED)));
    manager.set_streams(streams);
    Plain { pool: IdlePool::new(2, Arc::clone(&manager)), manager }
}

fn anywhere(_host: HostKey) -> bool {
    true
}

fn nowhere(_host: HostKey) -> bool {
    false
}

impl Plain {
    fn permit(&self, worker: WorkerId, host: HostKey) -> CxPermit {
        match self.pool.checkout_stream(worker, host, nowhere) {
            StreamCheckout::Ready(StreamFound::Connect(permit)) => permit,
            other => panic!("not a new connection: {other:?}"),
        }
    }

    fn begin(&self, worker: WorkerId, host: HostKey) -> (Lease<'_, Item, Link>, Guard<Item, Link>) {
        self.pool.begin(worker, host, self.permit(worker, host), u32::MAX)
    }

    fn lease(&self, worker: WorkerId, host: HostKey) -> Lease<'_, Item, Link> {
        match self.pool.checkout_stream(worker, host, nowhere) {
            StreamCheckout::Ready(StreamFound::Lease(lease)) => lease,
            other => panic!("no room: {other:?}"),
        }
    }
}

fn open(lease: &mut Lease<'_, Item, Link>) -> Poll<Result<Link, Lost>> {
    lease.poll_open(&mut Context::from_waker(Waker::noop()))
}

fn closes(guard: &Guard<Item, Link>) -> bool {
    guard.poll_close(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn streams_join_a_connection_that_still_opens_and_get_its_handle() {
    let plain = plain(1, 3);
    let (mut first, guard) = plain.begin(ONE, HOST);
    let (mut second, mut third) = (plain.lease(ONE, HOST), plain.lease(OTHER, HOST));
    assert!(open(&mut second).is_pending());
    let StreamCheckout::Wait(mut fourth) = plain.pool.checkout_stream(ONE, HOST, anywhere) else { panic!() };
    guard.opened(Link(7), 10, Instant::ZERO);
    for lease in [&mut first, &mut second, &mut third] {
        assert_eq!(open(lease), Poll::Ready(Ok(Link(7))));
    }
    assert_eq!(guard.streams(), 3);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(fourth.poll_found(&mut cx).is_pending());
    assert!(second.finish(Instant::from_millis(1)).is_none());
    assert!(matches!(fourth.poll_found(&mut cx), Poll::Ready(StreamFound::Lease(_))));
}

#[test]
fn a_peer_that_offers_less_loses_the_youngest_and_lowers_the_limit_while_it_is_there() {
    let plain = plain(2, 3);
    let (mut first, guard) = plain.begin(ONE, HOST);
    let (mut second, mut third) = (plain.lease(ONE, HOST), plain.lease(ONE, HOST));
    guard.opened(Link(1), 1, Instant::ZERO);
    assert_eq!(open(&mut first), Poll::Ready(Ok(Link(1))));
    assert_eq!(open(&mut second), Poll::Ready(Err(Lost)));
    assert_eq!(open(&mut third), Poll::Ready(Err(Lost)));
    assert_eq!(guard.streams(), 1);
    let burst = |expected: usize| {
        let burst: Vec<_> = (0..10).map(|_| plain.manager.admit_now(ONE, Kind::Stream)).collect();
        assert_eq!(burst.iter().filter(|slot| slot.is_ok()).count(), expected);
    };
    burst(4);
    guard.set_capacity(2);
    burst(5);
    drop((first, second, third));
    drop(guard);
    burst(6);
}

#[test]
fn a_connection_that_fails_to_open_is_lost_for_all_and_asked_for_anew() {
    let plain = plain(1, 3);
    let (mut first, guard) = plain.begin(ONE, HOST);
    let mut second = plain.lease(ONE, HOST);
    drop(guard);
    assert_eq!(open(&mut first), Poll::Ready(Err(Lost)));
    assert_eq!(open(&mut second), Poll::Ready(Err(Lost)));
    drop(plain.begin(ONE, HOST));
    drop((first, second));
    assert_eq!((plain.manager.view().connections, plain.pool.idle()), (0, 0));
}

#[test]
fn the_last_request_that_is_permitted_retires_its_connection() {
    let plain = plain(2, 3);
    let permit = plain.permit(ONE, HOST);
    let (mut first, guard) = plain.pool.begin(ONE, HOST, permit, 3);
    guard.opened(Link(1), 3, Instant::ZERO);
    assert!(open(&mut first).is_ready());
    // Never used, so not counted.
    drop(plain.lease(ONE, HOST));
    let mut second = plain.lease(ONE, HOST);
    assert!(open(&mut second).is_ready());
    assert!(second.finish(Instant::ZERO).is_none());
    let mut third = plain.lease(ONE, HOST);
    assert!(open(&mut third).is_ready());
    drop(plain.begin(ONE, HOST));
    assert!(first.finish(Instant::ZERO).is_none() && !closes(&guard));
    assert_eq!(third.finish(Instant::ZERO), Some(Item::Shared(Link(1))));
    assert!(closes(&guard));
}

#[test]
fn an_idle_shared_connection_is_used_again_or_taken_by_the_same_rules() {
    let plain = plain(2, 3);
    let (lease, guard) = plain.begin(ONE, HOST);
    guard.opened(Link(1), 3, Instant::from_millis(1));
    assert!(lease.finish(Instant::from_millis(5)).is_none());
    assert_eq!(plain.pool.idle(), 1);
    // Not for another worker's new connection, but for its own worker's next stream.
    let again = plain.lease(ONE, HOST);
    assert_eq!(plain.pool.idle(), 0);
    assert!(plain.pool.take_idle_since(Instant::from_millis(100)).is_empty());
    assert!(again.finish(Instant::from_millis(9)).is_none());
    assert!(plain.pool.take_idle_since(Instant::from_millis(9)).is_empty());
    assert!(plain.pool.take_judged(OTHER, |_, _| Some(())).is_empty());
    let judged = plain.pool.take_judged(ONE, |item, since| {
        assert_eq!((&*item, since), (&Item::Shared(Link(1)), Instant::from_millis(9)));
        Some("old")
    });
    assert_eq!(judged, [(Item::Shared(Link(1)), "old")]);
    assert!(closes(&guard));
    assert_eq!(plain.pool.idle(), 0);
    drop(plain.begin(ONE, HOST));
}

#[test]
fn neither_kind_gets_the_others_connection_but_has_it_replaced() {
    let plain = plain(1, 3);
    let (lease, guard) = plain.begin(ONE, HOST);
    guard.opened(Link(1), 3, Instant::ZERO);
    drop(lease);
    let Checkout::Wait(mut waiter) = plain.pool.checkout(OTHER, HOST) else { panic!() };
    assert!(closes(&guard));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiter.poll_found(&mut cx).is_pending());
    drop(guard);
    let Poll::Ready(Found::Connect(permit)) = waiter.poll_found(&mut cx) else { panic!() };
    let own = Item::Own(permit);
    assert!(plain.pool.checkin(ONE, HOST, own, Instant::ZERO).is_none());
    let replace = plain.pool.checkout_stream(ONE, HOST, anywhere);
    assert!(matches!(replace, StreamCheckout::Ready(StreamFound::Replace(Item::Own(_)))));
}

#[test]
fn a_request_for_another_host_is_not_starved_by_long_streams() {
    let plain = plain(1, 3);
    let (_long, guard) = plain.begin(ONE, HOST);
    guard.opened(Link(1), 3, Instant::ZERO);
    let elsewhere = plain.pool.checkout_stream(ONE, OTHER_HOST, anywhere);
    assert!(
        matches!(&elsewhere, StreamCheckout::Ready(StreamFound::Elsewhere(lease)) if lease.host() == HOST)
    );
    drop(elsewhere);
    // Whoever can't go there makes the connection end.
    let StreamCheckout::Wait(_waiter) = plain.pool.checkout_stream(ONE, OTHER_HOST, nowhere) else {
        panic!()
    };
    assert!(matches!(plain.pool.checkout_stream(ONE, HOST, anywhere), StreamCheckout::Wait(_)));
}

#[test]
fn a_connection_without_room_hides_no_other_that_has_some() {
    let plain = plain(3, 2);
    let (_first, guard) = plain.begin(ONE, HOST);
    guard.opened(Link(1), 1, Instant::ZERO);
    let (_second, other) = plain.begin(ONE, HOST);
    drop(plain.lease(ONE, HOST));
    assert_eq!((guard.streams(), other.streams()), (1, 1));
}

#[test]
fn whoever_waits_hears_of_connections_that_are_begun_later() {
    let plain = plain(1, 2);
    let (first, guard) = plain.begin(ONE, HOST);
    let second = plain.lease(ONE, HOST);
    let StreamCheckout::Wait(mut early) = plain.pool.checkout_stream(ONE, OTHER_HOST, nowhere) else {
        panic!()
    };
    let late = plain.pool.checkout_stream(OTHER, HostKey(3), anywhere);
    let StreamCheckout::Wait(mut late) = late else { panic!() };
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut cx = Context::from_waker(&waker);
    assert!(late.poll_found(&mut cx).is_pending());
    drop((first, second, guard));
    let Poll::Ready(StreamFound::Connect(permit)) = early.poll_found(&mut cx) else { panic!() };
    assert!(!flag.0.load(Ordering::Relaxed));
    let (_lease, _guard) = plain.pool.begin(ONE, OTHER_HOST, permit, u32::MAX);
    assert!(flag.0.load(Ordering::Relaxed), "woken");
    let Poll::Ready(StreamFound::Elsewhere(lease)) = late.poll_found(&mut cx) else { panic!() };
    assert_eq!(lease.host(), OTHER_HOST);
}

#[test]
fn whoever_waits_is_given_streams_on_what_was_begun_after_it_joined() {
    let plain = plain(1, 1);
    let (first, guard) = plain.begin(ONE, HOST);
    let StreamCheckout::Wait(mut early) = plain.pool.checkout_stream(ONE, OTHER_HOST, nowhere) else {
        panic!()
    };
    let late = plain.pool.checkout_stream(OTHER, HostKey(3), anywhere);
    let StreamCheckout::Wait(mut late) = late else { panic!() };
    drop((first, guard));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(StreamFound::Connect(permit)) = early.poll_found(&mut cx) else { panic!() };
    let (lease, guard) = plain.pool.begin(ONE, OTHER_HOST, permit, u32::MAX);
    guard.opened(Link(1), 1, Instant::ZERO);
    // It looks, finds no room, and can use the next that there is.
    assert!(late.poll_found(&mut cx).is_pending());
    assert!(lease.finish(Instant::ZERO).is_none(), "there is a use for the connection");
    let Poll::Ready(StreamFound::Elsewhere(lease)) = late.poll_found(&mut cx) else { panic!() };
    assert_eq!(lease.host(), OTHER_HOST);
}

#[test]
fn a_connection_begun_while_a_request_of_the_other_kind_waits_takes_no_more_streams() {
    let plain = plain(1, 3);
    let (first, guard) = plain.begin(ONE, HOST);
    let StreamCheckout::Wait(mut early) = plain.pool.checkout_stream(ONE, OTHER_HOST, nowhere) else {
        panic!()
    };
    let Checkout::Wait(mut late) = plain.pool.checkout(OTHER, HOST) else { panic!() };
    drop((first, guard));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(StreamFound::Connect(permit)) = early.poll_found(&mut cx) else { panic!() };
    let (lease, guard) = plain.pool.begin(ONE, OTHER_HOST, permit, u32::MAX);
    assert!(matches!(plain.pool.checkout_stream(ONE, OTHER_HOST, nowhere), StreamCheckout::Wait(_)));
    drop((lease, guard));
    assert!(matches!(late.poll_found(&mut cx), Poll::Ready(Found::Connect(_))));
}

#[test]
fn another_connection_ends_where_one_that_ended_makes_room_for_nobody() {
    let plain = plain(3, 2);
    let [first, second, third] = [HOST, OTHER_HOST, HostKey(3)].map(|host| {
        let (lease, guard) = plain.begin(ONE, host);
        guard.opened(Link(1), 2, Instant::ZERO);
        (lease, guard)
    });
    let [mut early, mut late] =
        [HostKey(4), HostKey(5)].map(|host| match plain.pool.checkout_stream(ONE, host, nowhere) {
            StreamCheckout::Wait(waiter) => waiter,
            StreamCheckout::Ready(found) => panic!("{found:?}"),
        });
    drop(plain.lease(ONE, HostKey(3)));
    plain.manager.set_thresholds(limits(2, 100, UNLIMITED));
    drop(first);
    // Two wait, and only one of the two that are left was to end for them.
    assert!(matches!(plain.pool.checkout_stream(ONE, HostKey(3), nowhere), StreamCheckout::Wait(_)));
    drop((second, third));
    let mut cx = Context::from_waker(Waker::noop());
    for waiter in [&mut early, &mut late] {
        assert!(matches!(waiter.poll_found(&mut cx), Poll::Ready(StreamFound::Connect(_))));
    }
}

/// Of two idle ones, one for each who waits, whatever it waits for.
#[test]
fn no_more_idle_connections_are_closed_than_there_are_requests_that_wait() {
    for streams_first in [true, false] {
        let plain = plain(2, 3);
        let guards = [HOST, OTHER_HOST].map(|host| {
            let (lease, guard) = plain.begin(ONE, host);
            guard.opened(Link(1), 3, Instant::ZERO);
            (lease, guard)
        });
        let guards = guards.map(|(lease, guard)| {
            assert!(lease.finish(Instant::ZERO).is_none());
            guard
        });
        let closing = || guards.iter().filter(|guard| closes(guard)).count();
        let mut streams = Vec::new();
        let mut others = Vec::new();
        for waiting in 1..=2 {
            if (waiting == 1) == streams_first {
                streams.push(plain.pool.checkout_stream(ONE, HostKey(3), nowhere));
            } else {
                others.push(plain.pool.checkout(ONE, HostKey(4)));
            }
            assert_eq!(closing(), waiting, "streams first: {streams_first}");
        }
        assert!(matches!(&streams[..], [StreamCheckout::Wait(_)]), "{streams:?}");
        assert!(matches!(&others[..], [Checkout::Wait(_)]), "{others:?}");
    }
}

#[test]
fn no_more_connections_end_than_there_are_requests_that_wait() {
    let plain = plain(3, 2);
    let [first, second, third] = [HOST, OTHER_HOST, HostKey(3)].map(|host| {
        let (lease, guard) = plain.begin(ONE, host);
        guard.opened(Link(1), 2, Instant::ZERO);
        (lease, guard)
    });
    let [mut early, _late] =
        [HostKey(4), HostKey(5)].map(|host| match plain.pool.checkout_stream(ONE, host, nowhere) {
            StreamCheckout::Wait(waiter) => waiter,
            StreamCheckout::Ready(found) => panic!("{found:?}"),
        });
    drop(first);
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(StreamFound::Connect(permit)) = early.poll_found(&mut cx) else { panic!() };
    let begun = plain.pool.begin(ONE, HostKey(4), permit, u32::MAX);
    // The second ends for the one who still waits; the third and the new one go on.
    drop((plain.lease(ONE, HostKey(3)), plain.lease(ONE, HostKey(4))));
    drop((second, third, begun));
}

#[test]
fn of_those_that_become_idle_one_is_closed_for_one_who_waits() {
    let plain = plain(3, 1);
    let [_first, second, third] = [HOST, OTHER_HOST, HostKey(3)].map(|host| {
        let (lease, guard) = plain.begin(ONE, host);
        guard.opened(Link(1), 1, Instant::ZERO);
        (lease, guard)
    });
    // The first takes no new streams from now on; but it may run for long.
    let Checkout::Wait(mut waiter) = plain.pool.checkout(ONE, HOST) else { panic!() };
    drop(second.0);
    assert!(closes(&second.1));
    drop(third.0);
    assert!(!closes(&third.1));
    drop(second.1);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(waiter.poll_found(&mut cx), Poll::Ready(Found::Connect(_))));
    assert!(!closes(&third.1));
}

#[test]
fn a_connection_whose_host_takes_no_streams_is_kept_for_those_who_want_that_host() {
    let plain = plain(1, 1);
    let (lease, guard) = plain.begin(ONE, HOST);
    guard.opened(Link(1), 0, Instant::ZERO);
    drop(lease);
    let StreamCheckout::Wait(mut waiter) = plain.pool.checkout_stream(ONE, HOST, nowhere) else { panic!() };
    guard.set_capacity(0);
    assert!(!closes(&guard), "another would take none either");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiter.poll_found(&mut cx).is_pending());
    guard.set_capacity(1);
    assert!(matches!(waiter.poll_found(&mut cx), Poll::Ready(StreamFound::Lease(_))));
}

#[test]
fn a_connection_that_becomes_idle_above_a_lowered_limit_is_closed() {
    let plain = plain(2, 2);
    let [first, second] = [HOST, OTHER_HOST].map(|host| {
        let (lease, guard) = plain.begin(ONE, host);
        guard.opened(Link(1), 2, Instant::ZERO);
        (lease, guard)
    });
    plain.manager.set_thresholds(limits(1, 100, UNLIMITED));
    assert_eq!(first.0.finish(Instant::ZERO), Some(Item::Shared(Link(1))));
    assert!(second.0.finish(Instant::ZERO).is_none(), "the other is about to be closed");
    drop(first.1);
    assert_eq!((plain.pool.idle(), plain.manager.view().connections), (1, 1));
}

#[test]
fn a_lowered_limit_ends_connections_in_use_and_cuts_nothing() {
    let plain = plain(3, 2);
    let opened: Vec<_> = [(ONE, HOST), (OTHER, HOST), (ONE, OTHER_HOST)]
        .into_iter()
        .map(|(worker, host)| {
            let (lease, guard) = plain.begin(worker, host);
            guard.opened(Link(1), 2, Instant::ZERO);
            (lease, guard)
        })
        .collect();
    plain.manager.set_thresholds(limits(1, 100, UNLIMITED));
    assert!(plain.pool.take_surplus().is_empty());
    let mut closing = 0;
    for (lease, guard) in opened {
        assert!(!closes(&guard));
        closing += u32::from(lease.finish(Instant::ZERO).is_some());
        if closes(&guard) {
            drop(guard);
        } else {
            std::mem::forget(guard);
        }
    }
    assert!(closing >= 2);
    assert!(plain.manager.view().connections <= 1);
}

#[test]
fn more_streams_on_a_connection_start_those_who_wait() {
    let plain = plain(1, 1);
    let (lease, guard) = plain.begin(ONE, HOST);
    guard.opened(Link(1), 2, Instant::ZERO);
    let StreamCheckout::Wait(mut waiter) = plain.pool.checkout_stream(OTHER, HOST, nowhere) else { panic!() };
    plain.pool.set_streams(5);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(waiter.poll_found(&mut cx), Poll::Ready(StreamFound::Lease(_))));
    assert_eq!(plain.manager.streams(), 5);
    drop(lease);
}
