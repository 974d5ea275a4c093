//! What a burst is made of, by the arithmetic that users reckon with; and callers that fit.

use std::task::Poll;

use fuseboard_core::limit::{Admission, Kind, MAX_STREAMS, ResourceManager, UNLIMITED, WorkerId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{limits, poll};

/// Who waits looks again, unless it gives up; who is in has done what it came for.
fn go_on(caller: Admission<'_>, gives_up: bool) -> Option<Admission<'_>> {
    match caller {
        Admission::Queued(mut waiter) if !gives_up => match poll(&mut waiter) {
            Poll::Ready(Ok(slot)) => Some(Admission::Admitted(slot)),
            _ => Some(Admission::Queued(waiter)),
        },
        _done => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn d03_callers_that_fit_are_never_refused(
        connections in 1..4_u32,
        pending in 0..4_u32,
        turns in vec((any::<prop::sample::Index>(), any::<bool>()), 1..120),
    ) {
        let manager = ResourceManager::new(4, limits(connections, pending, UNLIMITED));
        let mut callers: Vec<Option<Admission<'_>>> = (0..connections + pending).map(|_| None).collect();
        for (who, gives_up) in turns {
            let who = who.index(callers.len());
            callers[who] = match callers[who].take() {
                None => {
                    let admission = manager.admit(WorkerId(u16::try_from(who).unwrap()), Kind::Connection);
                    prop_assert!(!matches!(admission, Admission::Refused(_)), "{:?}", admission);
                    Some(admission)
                }
                Some(caller) => go_on(caller, gives_up),
            };
            let running = callers.iter().filter(|caller| matches!(caller, Some(Admission::Admitted(_)))).count();
            prop_assert!(running <= connections as usize);
        }
    }

    /// Of both kinds, where requests are not what binds.
    #[test]
    fn callers_of_both_kinds_that_fit_are_never_refused(
        connections in 1..4_u32,
        pending in 0..4_u32,
        streams in 1..4_u32,
        more in 0..6_u32,
        turns in vec((any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 1..160),
    ) {
        let requests = connections * streams + more;
        let manager = ResourceManager::new(4, limits(connections, pending, requests));
        manager.set_streams(streams);
        let mut callers: Vec<Option<Admission<'_>>> = (0..connections + pending).map(|_| None).collect();
        for (who, gives_up, stream) in turns {
            let who = who.index(callers.len());
            let kind = if stream { Kind::Stream } else { Kind::Connection };
            callers[who] = match callers[who].take() {
                None => {
                    let admission = manager.admit(WorkerId(u16::try_from(who % 4).unwrap()), kind);
                    prop_assert!(!matches!(admission, Admission::Refused(_)), "{:?}", admission);
                    Some(admission)
                }
                Some(caller) => go_on(caller, gives_up),
            };
            let running = |kind: Kind| {
                let of = |caller: &&Option<Admission<'_>>| matches!(caller, Some(Admission::Admitted(slot)) if slot.kind() == kind);
                u32::try_from(callers.iter().filter(of).count()).unwrap()
            };
            prop_assert!(running(Kind::Connection) <= connections);
            prop_assert!(running(Kind::Stream) <= connections * streams);
            prop_assert!(running(Kind::Connection) + running(Kind::Stream) <= requests);
        }
    }

    #[test]
    fn a_burst_of_streams_is_admitted_by_the_arithmetic(
        connections in prop_oneof![6 => 1..5_u32, 1 => Just(UNLIMITED)],
        streams in prop_oneof![6 => 1..4_u32, 1 => Just(MAX_STREAMS)],
        pending in 0..6_u32,
        requests in prop_oneof![1..20_u32, Just(UNLIMITED)],
        callers in 0..30_u32,
    ) {
        let manager = ResourceManager::new(2, limits(connections, pending, requests));
        manager.set_streams(streams);
        let burst: Vec<_> =
            (0..callers).map(|nth| manager.admit(WorkerId((nth % 2) as u16), Kind::Stream)).collect();
        let refused = burst.iter().filter(|admission| matches!(admission, Admission::Refused(_))).count();
        let slots = connections.saturating_mul(streams);
        let expected = if requests >= slots { slots.saturating_add(pending) } else { requests };
        prop_assert_eq!(callers as usize - refused, callers.min(expected) as usize);
        let running = burst.iter().filter(|admission| matches!(admission, Admission::Admitted(_))).count();
        prop_assert_eq!(running, callers.min(slots).min(requests) as usize);
    }

    #[test]
    fn d02_a_burst_is_admitted_by_the_arithmetic(
        connections in 1..6_u32,
        pending in 0..6_u32,
        requests in prop_oneof![1..12_u32, Just(UNLIMITED)],
        callers in 0..20_u32,
    ) {
        let manager = ResourceManager::new(2, limits(connections, pending, requests));
        let burst: Vec<_> = (0..callers).map(|nth| manager.admit(WorkerId((nth % 2) as u16), Kind::Connection)).collect();
        let refused = burst.iter().filter(|admission| matches!(admission, Admission::Refused(_))).count();
        let expected = if requests >= connections { connections + pending } else { requests };
        prop_assert_eq!(callers as usize - refused, callers.min(expected) as usize);
    }
}
