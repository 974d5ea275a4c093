//! Who gets streams on a connection that is there, and when it takes no more.

use std::task::{Context, Poll, Waker};

use fuseboard_core::Instant;
use fuseboard_core::limit::Kind;
use fuseboard_core::pool::{Lost, StreamFound};

use crate::connections::{HOST, Item, Link, ONE, OTHER, OTHER_HOST, anywhere, closes, nowhere, open, plain};

#[test]
fn streams_join_a_connection_that_still_opens_and_get_its_handle() {
    let plain = plain(1, 3);
    let (mut first, guard) = plain.begin(ONE, HOST);
    let (mut second, mut third) = (plain.lease(ONE, HOST), plain.lease(OTHER, HOST));
    assert!(open(&mut second).is_pending());
    let mut fourth = plain.waiter(ONE, HOST, anywhere);
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
    assert!(plain.pool.take_judged(ONE, |_, _| Some(())).is_empty());
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
fn a_connection_without_room_hides_no_other_that_has_some() {
    let plain = plain(3, 2);
    let (_first, guard) = plain.begin(ONE, HOST);
    guard.opened(Link(1), 1, Instant::ZERO);
    let (_second, other) = plain.begin(ONE, HOST);
    drop(plain.lease(ONE, HOST));
    assert_eq!((guard.streams(), other.streams()), (1, 1));
}

#[test]
fn more_streams_on_a_connection_start_those_who_wait() {
    let plain = plain(1, 1);
    let (lease, guard) = plain.begin(ONE, HOST);
    guard.opened(Link(1), 2, Instant::ZERO);
    let mut waiter = plain.waiter(OTHER, HOST, nowhere);
    plain.pool.set_streams(5);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(waiter.poll_found(&mut cx), Poll::Ready(StreamFound::Lease(_))));
    assert_eq!(plain.manager.streams(), 5);
    drop(lease);
}

/// So that the other may age and be closed.
#[test]
fn of_two_connections_with_room_the_one_that_is_in_use_gets_the_stream() {
    for in_use in [0, 1] {
        let plain = plain(2, 2);
        let (mut leases, guards): (Vec<_>, Vec<_>) = (0..2).map(|_| plain.another(HOST)).unzip();
        drop(leases.remove(1 - in_use));
        leases.push(plain.lease(ONE, HOST));
        assert_eq!(guards[in_use].streams(), 2);
    }
}

#[test]
fn a_stream_is_told_on_whose_event_loop_its_connection_lives() {
    let plain = plain(1, 2);
    let (own, _guard) = plain.begin(OTHER, HOST);
    assert_eq!((own.worker(), plain.lease(ONE, HOST).worker()), (OTHER, OTHER));
}

#[test]
fn whoever_retires_a_connection_it_takes_no_more_and_is_closed_after_its_last_stream() {
    for by_lease in [true, false] {
        let plain = plain(1, 2);
        let (first, guard) = plain.opened(ONE, HOST);
        if by_lease {
            first.retire();
        } else {
            guard.retire();
        }
        let mut waiter = plain.waiter(ONE, HOST, anywhere);
        assert!(!closes(&guard));
        drop(first);
        assert!(closes(&guard));
        drop(guard);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(waiter.poll_found(&mut cx), Poll::Ready(StreamFound::Connect(_))));
    }
}

#[test]
fn those_idle_too_long_and_those_of_a_host_that_is_gone_are_taken_and_others_go_on() {
    let plain = plain(3, 2);
    let [(busy, in_use), (idle, kept), (other, elsewhere)] =
        [HOST, HOST, OTHER_HOST].map(|host| plain.another(host));
    assert!(idle.finish(Instant::from_millis(5)).is_none());
    assert!(other.finish(Instant::from_millis(6)).is_none());
    assert!(plain.pool.take_idle_since(Instant::from_millis(5)).is_empty());
    assert_eq!(plain.pool.take_idle_since(Instant::from_millis(6)), [Item::Shared(Link(1))]);
    assert!(closes(&kept) && !closes(&elsewhere));
    assert!(plain.pool.take_host(HOST).is_empty(), "what is in use is not taken");
    assert!(!closes(&elsewhere));
    assert_eq!(busy.finish(Instant::from_millis(7)), Some(Item::Shared(Link(1))), "but takes no more");
    assert!(closes(&in_use));
    assert_eq!(plain.pool.take_host(OTHER_HOST), [Item::Shared(Link(2))]);
    assert!(closes(&elsewhere));
}
