//! What is told of ejections and returns.

use fuseboard_core::outlier::{DetectionKind, Detector, OutlierCounter, OutlierEvent, OutlierPolicy};

use crate::rig::*;

#[test]
fn d30_a_return_has_the_type_of_the_ejection_that_it_ends() {
    let gateway = Detector { threshold: 2, enforcing_percent: 100 };
    let mut rig = Rig::new(1, OutlierPolicy { consecutive_gateway_failure: gateway, ..quick() });
    let (_, ejected) = rig.tries_until_event(0, status(503), at(0));
    let returned = rig.sweep(1_000).remove(0);
    assert_eq!(ejected[0].logged_type(), "CONSECUTIVE_GATEWAY_FAILURE");
    assert_eq!(
        (returned.logged_action(), returned.logged_type()),
        (Some("UNEJECT"), "CONSECUTIVE_GATEWAY_FAILURE")
    );
}

#[test]
fn each_event_grows_the_counters_that_envoy_grows() {
    use OutlierCounter as C;
    let kind = DetectionKind::Consecutive5xx;
    let mut rig = Rig::new(2, OutlierPolicy { max_ejection_percent: 50, ..quick() });
    let grown = |events: &[OutlierEvent]| events[0].counters().collect::<Vec<_>>();
    let (_, ejected) = rig.tries_until_event(0, status(500), at(0));
    assert_eq!(
        grown(&ejected),
        [C::Detected(kind), C::Consecutive5xx, C::Total, C::EnforcedTotal, C::Enforced(kind)]
    );
    let (_, blocked) = rig.tries_until_event(1, status(500), at(0));
    assert_eq!(grown(&blocked), [C::Detected(kind), C::Consecutive5xx, C::Overflow]);
    assert_eq!(grown(&rig.sweep(1_000)), []);
}

#[test]
fn events_read_as_envoys_log() {
    let mut rig = Rig::new(1, quick());
    let (_, first) = rig.tries_until_event(0, status(500), at(0));
    assert_eq!(
        (first[0].logged_action(), first[0].num_ejections, first[0].since_last_action),
        (Some("EJECT"), 1, None)
    );
    rig.sweep(500);
    let returned = rig.sweep(1_000).remove(0);
    assert_eq!((returned.logged_action(), returned.logged_type()), (Some("UNEJECT"), "CONSECUTIVE_5XX"));
    assert_eq!((returned.is_enforced(), returned.num_ejections), (false, 1));
    assert_eq!(returned.since_last_action, Some(millis(1_000)), "since the ejection");
    let (_, second) = rig.tries_until_event(0, status(500), at(3_000));
    assert_eq!(second[0].since_last_action, Some(millis(2_000)), "since the return");
    assert_eq!(&*second[0].host, "0");
}
