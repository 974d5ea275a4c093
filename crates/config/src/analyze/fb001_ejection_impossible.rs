//! FB001: of so few endpoints, `maxEjectionPercent` allows none to be ejected.

use fuseboard_api::fuseboard::destination_policy::OutlierSettings;

use super::scene::{Scene, Written};
use crate::diagnostic::{Code, Diagnostics};

/// Envoy's default, which 0 stands for too.
const DEFAULT_PERCENT: usize = 10;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        check_policy(scene, &policy, diagnostics);
    }
}

fn check_policy(scene: &Scene<'_>, policy: &Written<'_>, diagnostics: &mut Diagnostics) {
    let Some(detection) = policy.outlier_detection else { return };
    let written = detection.max_ejection_percent.filter(|percent| percent.value > 0);
    let percent = written.and_then(|percent| usize::try_from(percent.value).ok()).unwrap_or(DEFAULT_PERCENT);
    let one_anyway = |settings: &OutlierSettings| settings.always_eject_one_host.is_some_and(|one| one.value);
    let mut reach = scene.reach(policy);
    reach.retain(|reach| !scene.is_completed(reach.service, one_anyway));
    // A wildcard rule is fine if it can work somewhere.
    let Some(largest) = reach.iter().max_by_key(|reach| reach.hosts) else { return };
    let hosts = largest.hosts;
    if hosts * percent >= 100 {
        return;
    }
    let said = if written.is_some() { "" } else { " (the default)" };
    let share = format!(
        "{}.{}",
        hosts * percent / 100,
        format!("{:02}", hosts * percent % 100).trim_end_matches('0')
    );
    let message = format!(
        "maxEjectionPercent {percent}{said} of {hosts} {} is {}: no host can ever be ejected.",
        if hosts == 1 { "host" } else { "hosts" },
        share.trim_end_matches('.'),
    );
    let field = format!("{}.outlierDetection.maxEjectionPercent", policy.path);
    let at = written.map_or(detection.span, |percent| percent.span);
    let least = 100_usize.div_ceil(hosts);
    diagnostics.push(
        policy
            .rule
            .diagnostic(Code::EjectionImpossible, at, message)
            .field(field)
            .label(format!("floor({hosts} × {percent} %) = 0"))
            .help(format!(
                "write maxEjectionPercent: {least} or more to allow one host of {}",
                largest.service.host
            )),
    );
}
