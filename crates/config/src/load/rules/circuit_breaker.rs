//! Numbers of a `CircuitBreaker` on their own: what no breaker can go by is refused. How settings of several resources fit
//! together is looked at when they are put together (`resolve::circuit_breaker`).

use std::time::Duration;

use fuseboard_api::field;
use fuseboard_api::tree::Node;
use fuseboard_core::breaker::{FailureCount, WindowPolicy};

use super::block::{Block, Check, DAY, HOUR, MILLI, SHARE, SHARE_OR_OFF, failures};
use super::{name, port_number};
use crate::diagnostic::Code;
use crate::load::report::{FieldPath, Report};

/// All fields.
pub(super) fn check(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(host) = field::<String>(node, "host") {
        name::host(&host, &path.key("host"), report);
    }
    if let Some(port) = field::<u32>(node, "port") {
        port_number(port, &path.key("port"), report);
    }
    let blocks: [(&str, Check); 6] = [
        ("trip", trip),
        ("window", window),
        ("failures", failures),
        ("open", open),
        ("halfOpen", half_open),
        ("ramp", ramp),
    ];
    for (key, check) in blocks {
        if let Some(node) = node.get(key) {
            check(&mut Block { node, path: &path.key(key), report });
        }
    }
}

fn trip(trip: &mut Block<'_, '_>) {
    trip.number("failurePercent", &SHARE_OR_OFF);
    trip.number("slowPercent", &SHARE_OR_OFF);
    trip.time("slowerThan", MILLI..=DAY);
    trip.inner("failures", |failures| {
        failures.number("count", &(0..=FailureCount::MAX, "a number up to 4096, or 0 for off"));
        failures.time("within", MILLI..=DAY);
    });
}

fn window(window: &mut Block<'_, '_>) {
    window.number("calls", &(1..=WindowPolicy::MAX_CALLS, "a number of calls, 1 to 65536"));
    window.time("time", Duration::from_millis(100)..=HOUR);
    if let (Some(_), Some(calls)) = (window.node.get("time"), window.node.get("calls")) {
        let path = window.path.key("calls");
        let message = "a window is of calls or of a time, not of both";
        window.report.add(Code::FieldsExclude, calls.span, &path, message, "delete calls or time");
    }
}

fn open(open: &mut Block<'_, '_>) {
    open.time("openFor", MILLI..=DAY);
    open.time("maxOpenFor", MILLI..=DAY);
    open.time("decay", Duration::ZERO..=DAY);
    open.number("jitterPercent", &(0..=100, "a share in percent, 0 to 100"));
    if let Some(factor) =
        field::<f64>(open.node, "factor").filter(|factor| !(1.0..=100.0).contains(&factor.value))
    {
        open.refuse(
            "factor",
            factor.span,
            &factor.value.to_string(),
            "a number from 1 (always as long) to 100",
        );
    }
}

fn half_open(half_open: &mut Block<'_, '_>) {
    half_open.number("probes", &(1..=1000, "a number of calls, 1 to 1000"));
    half_open.number("successes", &(1..=1000, "a number of calls, 1 to 1000"));
    half_open.time("lease", MILLI..=DAY);
    half_open.time("patience", MILLI..=DAY);
}

fn ramp(ramp: &mut Block<'_, '_>) {
    ramp.time("rampFor", Duration::ZERO..=DAY);
    ramp.number("failurePercent", &SHARE);
}
