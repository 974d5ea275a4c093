//! Random runs against a naive model.

use std::sync::Arc;

use fuseboard_core::outlier::{OutlierAction, OutlierEvent};
use proptest::prelude::*;

use crate::model;
use crate::rig::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_runs_agree_with_the_naive_model(
        hosts in 1_usize..7,
        policy in model::policies(),
        steps in proptest::collection::vec(model::steps(), 1..300),
    ) {
        let mut rig = Rig::new(hosts, policy.clone());
        let mut model = model::Cluster::new(hosts, policy.clone());
        let (mut now, mut late) = (0, Vec::new());
        let mut detections = 0;
        for step in steps {
            match step {
                model::Step::Try { host, outcome } => {
                    let events = rig.run(host % hosts, outcome, at(now));
                    detections += events.len();
                    model.record(host % hosts, outcome, now);
                }
                model::Step::Begin { host } => late.push((host % hosts, rig.begin(host % hosts), model.era(host % hosts))),
                model::Step::End { outcome } => {
                    if let Some((host, ticket, era)) = late.pop() {
                        let events = rig.end(host, ticket, outcome, at(now));
                        detections += events.len();
                        if model.era(host) == era {
                            model.record(host, outcome, now);
                        }
                    }
                }
                model::Step::Wait { millis } => {
                    now += millis;
                    let events = rig.sweep(now);
                    let is_return = |event: &&OutlierEvent| matches!(event.action, OutlierAction::Returned { .. });
                    let returned = events.iter().filter(is_return).count();
                    detections += events.len() - returned;
                    prop_assert_eq!(returned, model.tick(now));
                }
                model::Step::Return { host } => {
                    let monitor = Arc::clone(&rig.hosts[host % hosts]);
                    let returned = rig.detector.return_host(&monitor, at(now)).is_some();
                    prop_assert_eq!(returned, model.return_by_hand(host % hosts, now));
                }
            }
            prop_assert_eq!(rig.ejected(), model.ejected());
            prop_assert_eq!(rig.detector.ejected(), model.ejected().len());
            prop_assert!(100 * rig.ejected().len() <= policy.max_ejection_percent as usize * hosts);
            prop_assert_eq!(detections, model.detections);
        }
    }
}
