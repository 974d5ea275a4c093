//! Numbers of a `CircuitBreaker` on their own: what no breaker can go by is refused. How settings of several resources fit
//! together is looked at when they are put together (`resolve::circuit_breaker`).

use std::ops::RangeInclusive;
use std::time::Duration;

use fuseboard_api::scalar::IntOrText;
use fuseboard_api::tree::Node;
use fuseboard_api::{List, Span, Spanned, field};
use fuseboard_core::breaker::{FailureCount, WindowPolicy};

use super::{name, port_number};
use crate::diagnostic::Code;
use crate::load::report::{FieldPath, Report};
use crate::status_class;

const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A share that may be switched off with 0.
const SHARE_OR_OFF: (RangeInclusive<u32>, &str) = (0..=100, "a share in percent, 1 to 100, or 0 for off");
const SHARE: (RangeInclusive<u32>, &str) = (1..=100, "a share in percent, 1 to 100");

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

/// The numbers of one block.
type Check = fn(&mut Block<'_, '_>);

/// A block of the resource, and where its findings go.
struct Block<'b, 'r> {
    node: &'b Node,
    path: &'b FieldPath<'b>,
    report: &'b mut Report<'r>,
}

fn trip(trip: &mut Block<'_, '_>) {
    trip.number("failurePercent", &SHARE_OR_OFF);
    trip.number("slowPercent", &SHARE_OR_OFF);
    trip.time("slowerThan", MILLI..=DAY);
    if let Some(failures) = trip.node.get("failures") {
        let path = trip.path.key("failures");
        let mut failures = Block { node: failures, path: &path, report: &mut *trip.report };
        failures.number("count", &(0..=FailureCount::MAX, "a number up to 4096, or 0 for off"));
        failures.time("within", MILLI..=DAY);
    }
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

fn failures(failures: &mut Block<'_, '_>) {
    for key in ["statuses", "ignoredStatuses"] {
        let Some(list) = field::<List<IntOrText>>(failures.node, key) else { continue };
        for (index, status) in list.iter().enumerate() {
            failures.status(key, index, status);
        }
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

impl Block<'_, '_> {
    fn number(&mut self, key: &str, (range, wanted): &(RangeInclusive<u32>, &str)) {
        if let Some(number) = field::<u32>(self.node, key).filter(|number| !range.contains(&number.value)) {
            self.refuse(key, number.span, &number.value.to_string(), wanted);
        }
    }

    fn time(&mut self, key: &str, range: RangeInclusive<Duration>) {
        if let Some(time) = field::<Duration>(self.node, key).filter(|time| !range.contains(&time.value)) {
            let wanted = format!("{:?} to {}", range.start(), if *range.end() == DAY { "24h" } else { "1h" });
            let found = if time.is_zero() { "0s".to_owned() } else { format!("{:?}", time.value) };
            self.refuse(key, time.span, &found, &wanted);
        }
    }

    fn status(&mut self, list: &str, index: usize, status: &Spanned<IntOrText>) {
        let wanted = "write a status, such as 503, or a class, such as 5xx";
        let path = self.path.item(list, index);
        match &status.value {
            IntOrText::Int(100..=599) => {}
            IntOrText::Int(number) => {
                let message = format!("{number} is not an HTTP status");
                self.report.add(Code::OutOfRange, status.span, &path, message, wanted);
            }
            IntOrText::Text(text) if status_class::parse(text).is_some() => {}
            IntOrText::Text(text) => {
                let message = format!("{text:?} is not a class of HTTP statuses");
                self.report.add(Code::UnknownWord, status.span, &path, message, wanted);
            }
        }
    }

    fn refuse(&mut self, key: &str, span: Span, found: &str, wanted: &str) {
        let message = format!("{key}: {found} is out of range");
        self.report.add(Code::OutOfRange, span, &self.path.key(key), message, format!("write {wanted}"));
    }
}
