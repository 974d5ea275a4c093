//! Streams and HTTP/1.1 requests of one cluster, from admission to the last byte, in every order that a seed gives: what is open and
//! what runs never exceeds its bound, whoever waits is woken, nothing that is there is withheld, and everything comes back.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connections;
mod ending;
mod joining;
mod world;

use connections::limits;
use fuseboard_core::Rng;
use fuseboard_core::limit::{Kind, UNLIMITED};
use world::{Chaos, World};

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
