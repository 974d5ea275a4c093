//! Which connections end, or are closed, for requests that can use none that is there, and what those who wait hear of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use fuseboard_core::Instant;
use fuseboard_core::limit::UNLIMITED;
use fuseboard_core::pool::{Checkout, Found, HostKey, StreamCheckout, StreamFound};

use crate::connections::{
    Flag, HOST, Item, Link, ONE, OTHER, OTHER_HOST, anywhere, closes, limits, nowhere, plain,
};

#[test]
fn neither_kind_gets_the_others_connection_but_has_it_replaced() {
    let plain = plain(1, 3);
    let (lease, guard) = plain.opened(ONE, HOST);
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
    let (_long, _guard) = plain.opened(ONE, HOST);
    let elsewhere = plain.pool.checkout_stream(ONE, OTHER_HOST, anywhere);
    assert!(
        matches!(&elsewhere, StreamCheckout::Ready(StreamFound::Elsewhere(lease)) if lease.host() == HOST)
    );
    drop(elsewhere);
    // Whoever can't go there makes the connection end.
    let _waiter = plain.waiter(ONE, OTHER_HOST, nowhere);
    assert!(matches!(plain.pool.checkout_stream(ONE, HOST, anywhere), StreamCheckout::Wait(_)));
}

#[test]
fn whoever_waits_hears_of_connections_that_are_begun_later() {
    let plain = plain(1, 2);
    let (first, guard) = plain.begin(ONE, HOST);
    let second = plain.lease(ONE, HOST);
    let mut early = plain.waiter(ONE, OTHER_HOST, nowhere);
    let mut late = plain.waiter(OTHER, HostKey(3), anywhere);
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
    let mut early = plain.waiter(ONE, OTHER_HOST, nowhere);
    let mut late = plain.waiter(OTHER, HostKey(3), anywhere);
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
fn what_is_begun_takes_no_more_streams_once_one_that_waits_finds_no_use_for_it() {
    let plain = plain(1, 2);
    let (first, guard) = plain.begin(ONE, HOST);
    let [mut early, mut late] = [OTHER_HOST, HostKey(3)].map(|host| plain.waiter(ONE, host, nowhere));
    drop((first, guard));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(StreamFound::Connect(permit)) = early.poll_found(&mut cx) else { panic!() };
    let (lease, guard) = plain.pool.begin(ONE, OTHER_HOST, permit, u32::MAX);
    guard.opened(Link(1), 2, Instant::ZERO);
    drop(plain.lease(ONE, OTHER_HOST));
    assert!(late.poll_found(&mut cx).is_pending());
    assert_eq!(lease.finish(Instant::ZERO), Some(Item::Shared(Link(1))));
}

#[test]
fn a_request_waits_for_its_own_host_where_a_connection_is_closed_for_it() {
    let plain = plain(2, 2);
    let [idle, in_use] = [HOST, HostKey(3)].map(|host| plain.opened(ONE, host));
    drop(idle.0);
    let waits = plain.pool.checkout_stream(ONE, OTHER_HOST, anywhere);
    assert!(matches!(waits, StreamCheckout::Wait(_)), "{waits:?}");
    assert!(closes(&idle.1) && in_use.1.streams() == 1);
}

#[test]
fn a_connection_begun_while_a_request_of_the_other_kind_waits_takes_no_more_streams() {
    let plain = plain(1, 3);
    let (first, guard) = plain.begin(ONE, HOST);
    let mut early = plain.waiter(ONE, OTHER_HOST, nowhere);
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
    let [first, second, third] = [HOST, OTHER_HOST, HostKey(3)].map(|host| plain.opened(ONE, host));
    let [mut early, mut late] = [HostKey(4), HostKey(5)].map(|host| plain.waiter(ONE, host, nowhere));
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
        let guards = [HOST, OTHER_HOST].map(|host| plain.opened(ONE, host)).map(|(lease, guard)| {
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
    let [first, second, third] = [HOST, OTHER_HOST, HostKey(3)].map(|host| plain.opened(ONE, host));
    let [mut early, _late] = [HostKey(4), HostKey(5)].map(|host| plain.waiter(ONE, host, nowhere));
    drop(first);
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(StreamFound::Connect(permit)) = early.poll_found(&mut cx) else { panic!() };
    let begun = plain.pool.begin(ONE, HostKey(4), permit, u32::MAX);
    // The second ends for the one who still waits; the third and the new one go on.
    drop((plain.lease(ONE, HostKey(3)), plain.lease(ONE, HostKey(4))));
    assert_eq!(second.0.finish(Instant::ZERO), Some(Item::Shared(Link(1))));
    assert!(closes(&second.1) && !closes(&third.1) && !closes(&begun.1));
}

#[test]
fn what_ends_for_one_who_left_ends_for_the_next_who_waits() {
    let plain = plain(2, 2);
    let pairs = [HOST, OTHER_HOST].map(|host| plain.opened(ONE, host));
    for host in [HostKey(3), HostKey(4)] {
        let waits = plain.pool.checkout_stream(ONE, host, nowhere);
        assert!(matches!(waits, StreamCheckout::Wait(_)));
    }
    let ended = pairs.map(|(lease, _guard)| lease.finish(Instant::ZERO).is_some());
    assert_eq!(ended, [true, false]);
}

#[test]
fn of_those_that_become_idle_one_is_closed_for_one_who_waits() {
    let plain = plain(3, 1);
    let [_first, second, third] = [HOST, OTHER_HOST, HostKey(3)].map(|host| plain.opened(ONE, host));
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
    let mut waiter = plain.waiter(ONE, HOST, nowhere);
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
    let [first, second] = [HOST, OTHER_HOST].map(|host| plain.opened(ONE, host));
    plain.manager.set_thresholds(limits(1, 100, UNLIMITED));
    assert_eq!(first.0.finish(Instant::ZERO), Some(Item::Shared(Link(1))));
    assert!(second.0.finish(Instant::ZERO).is_none(), "the other is about to be closed");
    drop(first.1);
    assert_eq!((plain.pool.idle(), plain.manager.view().connections), (1, 1));
}

#[test]
fn what_is_idle_goes_to_who_waits_once_nothing_is_about_to_be_closed_for_it() {
    let plain = plain(2, 2);
    let (lease, guard) = plain.opened(ONE, HOST);
    let own = Item::Own(plain.permit(ONE, OTHER_HOST));
    drop(lease);
    assert!(plain.pool.checkin(ONE, OTHER_HOST, own, Instant::from_millis(1)).is_none());
    let Checkout::Wait(mut waiter) = plain.pool.checkout(ONE, HostKey(3)) else { panic!() };
    assert!(closes(&guard), "the longest idle one");
    plain.manager.set_thresholds(limits(1, 100, UNLIMITED));
    drop(guard);
    // That made room for nobody.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(waiter.poll_found(&mut cx), Poll::Ready(Found::Replace(Item::Own(_)))));
}

#[test]
fn the_connection_that_has_been_idle_longest_is_replaced_shared_or_not() {
    for (since_shared, since_own) in [(1, 2), (2, 2), (2, 1)] {
        let plain = plain(2, 2);
        let (lease, guard) = plain.opened(ONE, HOST);
        let own = Item::Own(plain.permit(ONE, OTHER_HOST));
        assert!(lease.finish(Instant::from_millis(since_shared)).is_none());
        assert!(plain.pool.checkin(ONE, OTHER_HOST, own, Instant::from_millis(since_own)).is_none());
        let found = plain.pool.checkout(ONE, HostKey(3));
        let replaces_own = matches!(found, Checkout::Ready(Found::Replace(Item::Own(_))));
        assert_eq!((replaces_own, closes(&guard)), (since_own <= since_shared, since_own > since_shared));
    }
}

#[test]
fn a_lowered_limit_ends_connections_in_use_and_cuts_nothing() {
    let plain = plain(3, 2);
    let opened: Vec<_> = [(ONE, HOST), (OTHER, HOST), (ONE, OTHER_HOST)]
        .into_iter()
        .map(|(worker, host)| plain.opened(worker, host))
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
