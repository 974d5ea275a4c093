//! FB021: a share of healthy hosts that the first ejection already undercuts, so that ejected hosts are used all the same.

use super::scene::{Scene, Written};
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        check_policy(scene, &policy, diagnostics);
    }
}

fn check_policy(scene: &Scene<'_>, policy: &Written<'_>, diagnostics: &mut Diagnostics) {
    let Some(detection) = policy.outlier_detection else { return };
    let Some(least) = detection.min_health_percent.filter(|percent| percent.value > 0) else { return };
    let Ok(percent) = usize::try_from(least.value) else { return };
    let reach = scene.reach(policy);
    // A wildcard rule is fine if it can work somewhere.
    let Some(largest) = reach.iter().max_by_key(|reach| reach.hosts) else { return };
    let hosts = largest.hosts;
    if (hosts - 1) * 100 >= percent * hosts {
        return;
    }
    let message = format!(
        "minHealthPercent {percent}: one ejection of {hosts} leaves {} % healthy, and then ejected hosts get requests too",
        (hosts - 1) * 100 / hosts,
    );
    let help = match (hosts - 1) * 100 / hosts {
        0 => "delete it: of one host none can be spared".to_owned(),
        most => {
            format!("write minHealthPercent: {most} or less to spare one host of {}", largest.service.host)
        }
    };
    diagnostics.push(
        policy
            .rule
            .diagnostic(Code::PanicUndoesEjection, least.span, message)
            .field(format!("{}.outlierDetection.minHealthPercent", policy.path))
            .help(help),
    );
}
