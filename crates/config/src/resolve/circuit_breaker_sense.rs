//! Whether the settings in force of a breaker make sense together. They may come from several resources, so each finding
//! is put where the setting was written that has no effect, or another one than it seems.

use std::collections::BTreeMap;
use std::time::Duration;

use fuseboard_api::Span;
use fuseboard_api::fuseboard::CircuitBreaker;
use fuseboard_core::breaker::{BreakerPolicy, Mode, WindowPolicy};
use fuseboard_snapshot::{BreakerSetting, Origin, ServiceName};

use super::hostname;
use crate::diagnostic::{Code, Diagnostics};
use crate::set::Resource;

/// Where a setting was written.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    breaker: &'a Resource<CircuitBreaker>,
    span: Span,
}

/// The settings that somebody wrote.
#[derive(Default)]
pub(super) struct Written<'a> {
    settings: BTreeMap<BreakerSetting, At<'a>>,
    /// There are other resources. What a resource for a wildcard leaves open, one for a service may then add.
    pub(super) may_be_completed: bool,
}

impl At<'_> {
    /// The same for the snapshot.
    pub(super) fn origin(&self, setting: BreakerSetting) -> Origin {
        Origin {
            resource: self.breaker.id.clone(),
            field: field(setting).into(),
            location: Some(self.breaker.location(self.span)),
        }
    }
}

impl<'a> Written<'a> {
    pub(super) fn insert(
        &mut self,
        setting: BreakerSetting,
        breaker: &'a Resource<CircuitBreaker>,
        span: Span,
    ) {
        self.settings.insert(setting, At { breaker, span });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (BreakerSetting, At<'a>)> {
        self.settings.iter().map(|(setting, at)| (*setting, *at))
    }

    /// Whether `breaker` need not say everything.
    fn leaves_open(&self, breaker: &Resource<CircuitBreaker>) -> bool {
        self.may_be_completed && hostname::is_wildcard(&breaker.spec.host)
    }

    /// Reports about `setting`, if somebody wrote it.
    fn report(
        &self,
        code: Code,
        setting: BreakerSetting,
        message: String,
        help: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let at = self.settings.get(&setting);
        let incomplete = code == Code::HalfATripCondition;
        if let Some(at) = at.filter(|at| !(incomplete && self.leaves_open(at.breaker))) {
            diagnostics.push(at.breaker.diagnostic(code, at.span, message).field(field(setting)).help(help));
        }
    }
}

fn field(setting: BreakerSetting) -> String {
    format!("spec.{}", setting.path())
}

/// Says that the breaker of the only endpoint leaves nobody to send to. A default for many is not to blame.
pub(super) fn report_lone_endpoint(
    policy: &BreakerPolicy,
    written: &Written<'_>,
    name: &ServiceName,
    diagnostics: &mut Diagnostics,
) {
    let setting = BreakerSetting::Scope;
    let is_default = |at: &At<'_>| hostname::is_wildcard(&at.breaker.spec.host);
    if policy.mode == Mode::Enforce && !written.settings.get(&setting).is_none_or(is_default) {
        let message = format!(
            "{}, port {} has one endpoint: when its breaker opens, nobody is left, and every call is refused",
            name.host, name.port
        );
        let help = "write scope: destination, or run more endpoints";
        written.report(Code::LoneEndpointBreaker, setting, message, help, diagnostics);
    }
}

/// Reports what is odd about `policy`; `closest` is the resource to name where a setting is missing.
pub(super) fn check(
    policy: &BreakerPolicy,
    written: &Written<'_>,
    closest: &Resource<CircuitBreaker>,
    timeout: Option<Duration>,
    diagnostics: &mut Diagnostics,
) {
    if policy.mode == Mode::Disabled {
        return;
    }
    let trip = &policy.trip;
    let has_percentage = trip.failure_percent.is_some() || trip.slow.is_some();
    if trip.consecutive_failures.is_none()
        && trip.failures.is_none()
        && !has_percentage
        && !written.leaves_open(closest)
    {
        let message = "no trip condition is in force: the breaker never opens by itself";
        let found = closest.diagnostic(Code::BreakerNeverTrips, closest.span, message);
        diagnostics.push(
            found.field("spec.trip").help("write trip: {consecutiveFailures: 5}, or another condition"),
        );
    }
    halves(written, policy, diagnostics);
    if let WindowPolicy::Calls(calls) = policy.window
        && trip.minimum_calls > calls.get()
    {
        let message = format!(
            "minimumCalls {} is more than the window of {calls} calls ever holds: {calls} are enough",
            trip.minimum_calls
        );
        let help = "write a smaller number, or a larger window";
        written.report(
            Code::MinimumCallsOutOfReach,
            BreakerSetting::MinimumCalls,
            message,
            help,
            diagnostics,
        );
    }
    if let (Some(slow), Some(timeout)) = (trip.slow, timeout)
        && slow.slower_than >= timeout
    {
        let message = format!(
            "no call takes longer than {:?}: the time-out of {timeout:?} ends it before",
            slow.slower_than
        );
        let help = "write less than the time-out of the DestinationPolicy or of run --timeout";
        written.report(Code::SlowerThanTimeout, BreakerSetting::SlowerThan, message, help, diagnostics);
    }
    open_and_half_open(policy, written, diagnostics);
}

/// Conditions of which only one half is there.
fn halves(written: &Written<'_>, policy: &BreakerPolicy, diagnostics: &mut Diagnostics) {
    let is_there = |setting| written.settings.contains_key(&setting);
    let pairs = [
        (BreakerSetting::SlowPercent, BreakerSetting::SlowerThan, "write slowerThan: 1s beside it"),
        (BreakerSetting::FailuresCount, BreakerSetting::FailuresWithin, "write within: 10s beside it"),
    ];
    for (share, bound, add) in pairs {
        if is_there(share) == is_there(bound) {
            continue;
        }
        let (there, missing, help) = if is_there(share) {
            (share, bound, add)
        } else if share == BreakerSetting::SlowPercent {
            (bound, share, "write slowPercent: 50 beside it")
        } else {
            (bound, share, "write count: 10 beside it")
        };
        let message = format!("{} has no effect without {}", there.path(), missing.path());
        written.report(Code::HalfATripCondition, there, message, help, diagnostics);
    }
    let has_percentage = policy.trip.failure_percent.is_some() || policy.trip.slow.is_some();
    for setting in [BreakerSetting::MinimumCalls, BreakerSetting::WindowCalls, BreakerSetting::WindowTime] {
        if !has_percentage {
            let message =
                format!("{} has no effect without trip.failurePercent or trip.slowPercent", setting.path());
            let help = "write one of them, or delete this";
            written.report(Code::HalfATripCondition, setting, message, help, diagnostics);
        }
    }
}

fn open_and_half_open(policy: &BreakerPolicy, written: &Written<'_>, diagnostics: &mut Diagnostics) {
    let (open, half) = (&policy.open, &policy.half_open);
    if open.max_open_for < open.open_for {
        let message = format!(
            "maxOpenFor {:?} is less than openFor {:?}: it is open for {:?} at most",
            open.max_open_for, open.open_for, open.max_open_for
        );
        let help = "write openFor or more, or delete it";
        written.report(Code::MaxOpenBelowOpen, BreakerSetting::MaxOpenFor, message, help, diagnostics);
    }
    if half.probes > half.successes {
        let message = format!(
            "{} probes go out at a time, but {} good {} it: the others tell nothing",
            half.probes,
            half.successes,
            if half.successes.get() == 1 { "one closes" } else { "ones close" }
        );
        let help = "write as many successes as probes, or fewer probes";
        written.report(Code::ProbesForNothing, BreakerSetting::Probes, message, help, diagnostics);
    }
    if half.patience < half.lease {
        let message = format!(
            "lease {:?} is never reached: after {:?} (patience) without a result the breaker opens again",
            half.lease, half.patience
        );
        let setting = if written.settings.contains_key(&BreakerSetting::Lease) {
            BreakerSetting::Lease
        } else {
            BreakerSetting::Patience
        };
        let help = "write a lease below patience";
        written.report(Code::LeaseBeyondPatience, setting, message, help, diagnostics);
    }
}
