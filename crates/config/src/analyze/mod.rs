//! Lints: what is valid, but hardly meant. One file for each code; `scene` gives them what they look at. Whether a finding
//! fails a command is the command's business.

mod fb001_ejection_impossible;
mod fb002_total_ejection;
mod fb003_queue_never_used;
mod fb004_gateway_errors_never_fire;
mod fb005_keep_alive_off;
mod fb007_two_bounds_for_retries;
mod fb008_rule_shadowed;
mod fb009_subset_drops_settings;
mod fb010_port_drops_settings;
mod fb012_interval_exceeds_ejection;
mod fb015_misleading_names;
mod fb016_two_rules_for_host;
mod fb017_rules_of_two_namespaces;
mod fb018_rule_out_of_sight;
mod fb019_wider_rule_unused;
mod fb020_no_detector;
mod fb021_panic_undoes_ejection;
mod fb022_no_such_port;
mod fb023_http2_setting_unused;
mod ist0173_subset_selects_nothing;
mod ist0174_unknown_host;
mod scene;
mod settings;

use crate::diagnostic::Diagnostics;
use crate::set::ResourceSet;
use crate::workload::Workload;
use scene::Scene;

/// All lints.
const LINTS: [fn(&Scene<'_>, &mut Diagnostics); 21] = [
    ist0173_subset_selects_nothing::check,
    ist0174_unknown_host::check,
    fb001_ejection_impossible::check,
    fb002_total_ejection::check,
    fb003_queue_never_used::check,
    fb004_gateway_errors_never_fire::check,
    fb005_keep_alive_off::check,
    fb007_two_bounds_for_retries::check,
    fb008_rule_shadowed::check,
    fb009_subset_drops_settings::check,
    fb010_port_drops_settings::check,
    fb012_interval_exceeds_ejection::check,
    fb015_misleading_names::check,
    fb016_two_rules_for_host::check,
    fb017_rules_of_two_namespaces::check,
    fb018_rule_out_of_sight::check,
    fb019_wider_rule_unused::check,
    fb020_no_detector::check,
    fb021_panic_undoes_ejection::check,
    fb022_no_such_port::check,
    fb023_http2_setting_unused::check,
];

/// What is odd about the usable `resources`, seen by clients of `workload`; by file and line. What is wrong with them, and
/// what is deprecated, `load` has said already.
pub fn analyze(resources: &ResourceSet, workload: &Workload) -> Diagnostics {
    let scene = Scene::new(resources, workload);
    let mut diagnostics = Diagnostics::new();
    for lint in LINTS {
        lint(&scene, &mut diagnostics);
    }
    diagnostics.sort();
    diagnostics
}
