//! What all `CircuitBreaker`s (our own resource) for a cluster make together, field by field. Whether the result makes sense
//! is left to [`super::circuit_breaker_sense`], and which resource is closer to [`super::layers`].

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_api::Spanned;
use fuseboard_api::fuseboard::CircuitBreaker;
use fuseboard_api::fuseboard::circuit_breaker as raw;
use fuseboard_core::breaker::{
    BreakerPolicy, FailureClassifier, FailureCount, HalfOpenPolicy, Mode, OpenPolicy, Percent, RampPolicy,
    SlowPolicy, TripPolicy, WindowPolicy,
};
use fuseboard_snapshot::{BreakerScope, BreakerSetting, ClusterBreaker, Provenance, ServiceName};

use super::circuit_breaker_sense::{self, Written};
use super::failures;
use super::layers::{Cascade, Layer, Layers, Twice};
use super::registry::Service;
use super::rule_index::RuleIndex;
use super::unknown_target::{Known, Target};
use crate::diagnostic::{Code, Diagnostics};
use crate::set::Resource;
use crate::workload::Workload;

/// All `CircuitBreaker`s that count.
#[derive(Debug)]
pub(super) struct BreakerIndex<'a>(Layers<'a, CircuitBreaker>);

impl<'a> BreakerIndex<'a> {
    /// The index of `breakers`.
    pub(super) fn new(
        breakers: &'a [Resource<CircuitBreaker>],
        workload: &'a Workload,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let twice = Twice { code: Code::TwoBreakersForHost, target: "host, port and subset" };
        Self(Layers::new(breakers, workload, &twice, diagnostics))
    }

    /// The breaker of the cluster called `name`; `None`: no resource is for it. `timeout` is the bound of its calls, and it has so
    /// many `endpoints`.
    pub(super) fn breaker(
        &self,
        name: &ServiceName,
        timeout: Option<Duration>,
        endpoints: usize,
        diagnostics: &mut Diagnostics,
    ) -> Option<ClusterBreaker> {
        let cascade = self.0.of(&name.host, &name.namespace, name.port, &name.subset);
        let rules: Vec<_> = cascade.layers.iter().map(|breaker| breaker.id.clone()).collect();
        let mut written = Written::default();
        let policy = policy(&cascade, &mut written);
        let scope = scope(&cascade, &mut written);
        written.may_be_completed = self.0.len() > 1;
        circuit_breaker_sense::check(&policy, &written, cascade.layers.first()?, timeout, diagnostics);
        if scope == BreakerScope::Endpoint && endpoints == 1 {
            circuit_breaker_sense::report_lone_endpoint(&policy, &written, name, diagnostics);
        }
        let mut provenance = Provenance::default();
        for (setting, at) in written.iter() {
            provenance.insert(setting, Arc::new(at.origin(setting)));
        }
        Some(ClusterBreaker { scope, policy, rules, provenance })
    }

    /// Says which resources are for no service, port or subset.
    pub(super) fn report_unknown(
        &self,
        services: &[Service<'_>],
        rules: &RuleIndex<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let known = Known { services, rules, workload: self.0.workload() };
        for Layer { host, resource: breaker } in self.0.iter() {
            let spec = &breaker.spec;
            let target = Target {
                host,
                written: spec.host.span,
                port: spec.port.as_ref(),
                subset: spec.subset.as_ref(),
            };
            known.report(breaker, &target, (Code::UnknownBreakerTarget, "breaker"), diagnostics);
        }
    }
}

/// Where a block of a resource is.
type BlockOf<B> = fn(&CircuitBreaker) -> Option<&Spanned<B>>;

impl<'a> Cascade<'a, CircuitBreaker> {
    /// The closest value of a field of `block`, which is noted in `written`.
    fn take<B: 'a, T: Clone + 'a>(
        &self,
        setting: BreakerSetting,
        block: BlockOf<B>,
        field: impl Fn(&'a B) -> Option<&'a Spanned<T>>,
        written: &mut Written<'a>,
    ) -> Option<T> {
        let (layer, found) = self.find(|spec| field(&block(spec)?.value))?;
        written.insert(setting, layer, found.span);
        Some(found.value.clone())
    }
}

fn scope<'a>(cascade: &Cascade<'a, CircuitBreaker>, written: &mut Written<'a>) -> BreakerScope {
    let Some((layer, scope)) = cascade.find(|spec| spec.scope.as_ref()) else {
        return BreakerScope::default();
    };
    written.insert(BreakerSetting::Scope, layer, scope.span);
    match scope.value {
        raw::Scope::Destination => BreakerScope::Destination,
        raw::Scope::Endpoint => BreakerScope::Endpoint,
    }
}

fn policy<'a>(cascade: &Cascade<'a, CircuitBreaker>, written: &mut Written<'a>) -> BreakerPolicy {
    let mode = cascade.find(|spec| spec.mode.as_ref());
    if let Some((layer, mode)) = mode {
        written.insert(BreakerSetting::Mode, layer, mode.span);
    }
    BreakerPolicy {
        mode: match mode.map_or(raw::Mode::Enforce, |(_, mode)| mode.value) {
            raw::Mode::Enforce => Mode::Enforce,
            raw::Mode::Shadow => Mode::Shadow,
            raw::Mode::Disabled => Mode::Disabled,
        },
        classifier: classifier(cascade, written),
        window: window(cascade, written),
        trip: trip(cascade, written),
        open: open(cascade, written),
        half_open: half_open(cascade, written),
        ramp: ramp(cascade, written),
    }
}

fn trip<'a>(cascade: &Cascade<'a, CircuitBreaker>, written: &mut Written<'a>) -> TripPolicy {
    let block: BlockOf<raw::Trip> = |spec| spec.trip.as_ref();
    let mut number = |setting, field: fn(&raw::Trip) -> Option<&Spanned<u32>>| {
        cascade.take(setting, block, field, written)
    };
    let consecutive = number(BreakerSetting::ConsecutiveFailures, |trip| trip.consecutive_failures.as_ref());
    let failure_percent = number(BreakerSetting::FailurePercent, |trip| trip.failure_percent.as_ref());
    let slow_percent = number(BreakerSetting::SlowPercent, |trip| trip.slow_percent.as_ref());
    let minimum_calls = number(BreakerSetting::MinimumCalls, |trip| trip.minimum_calls.as_ref());
    let count = number(BreakerSetting::FailuresCount, |trip| trip.failures.as_ref()?.count.as_ref());
    let mut time = |setting, field: fn(&raw::Trip) -> Option<&Spanned<Duration>>| {
        cascade.take(setting, block, field, written)
    };
    let slower_than = time(BreakerSetting::SlowerThan, |trip| trip.slower_than.as_ref());
    let within = time(BreakerSetting::FailuresWithin, |trip| trip.failures.as_ref()?.within.as_ref());
    TripPolicy {
        consecutive_failures: consecutive.and_then(NonZeroU32::new),
        failures: count
            .and_then(NonZeroU32::new)
            .zip(within)
            .map(|(count, within)| FailureCount { count, within }),
        failure_percent: percent(failure_percent),
        slow: percent(slow_percent)
            .zip(slower_than)
            .map(|(percent, slower_than)| SlowPolicy { slower_than, percent }),
        minimum_calls: minimum_calls.unwrap_or(TripPolicy::default().minimum_calls),
    }
}

/// The closest resource that says anything of the window decides its kind.
fn window<'a>(cascade: &Cascade<'a, CircuitBreaker>, written: &mut Written<'a>) -> WindowPolicy {
    for layer in &cascade.layers {
        let Some(window) = &layer.spec.window else { continue };
        if let Some((span, calls)) =
            window.calls.as_ref().and_then(|calls| Some((calls.span, NonZeroU32::new(calls.value)?)))
        {
            written.insert(BreakerSetting::WindowCalls, layer, span);
            return WindowPolicy::Calls(calls);
        }
        if let Some(time) = &window.time {
            written.insert(BreakerSetting::WindowTime, layer, time.span);
            return match WindowPolicy::default() {
                WindowPolicy::Time { buckets, .. } => WindowPolicy::Time { length: time.value, buckets },
                WindowPolicy::Calls(calls) => WindowPolicy::Calls(calls),
            };
        }
    }
    WindowPolicy::default()
}

fn classifier<'a>(cascade: &Cascade<'a, CircuitBreaker>, written: &mut Written<'a>) -> FailureClassifier {
    failures::classifier(|setting| {
        let blocks =
            cascade.layers.iter().filter_map(|layer| Some((*layer, &layer.spec.failures.as_ref()?.value)));
        let mut having =
            blocks.filter_map(|(layer, block)| Some((layer, block, failures::span_of(block, setting)?)));
        let (layer, block, span) = having.next()?;
        written.insert(BreakerSetting::of_classifier(setting), layer, span);
        Some(block)
    })
}

fn open<'a>(cascade: &Cascade<'a, CircuitBreaker>, written: &mut Written<'a>) -> OpenPolicy {
    let default = OpenPolicy::default();
    let block: BlockOf<raw::Open> = |spec| spec.open.as_ref();
    let mut time = |setting, field: fn(&raw::Open) -> Option<&Spanned<Duration>>| {
        cascade.take(setting, block, field, written)
    };
    let open_for = time(BreakerSetting::OpenFor, |open| open.open_for.as_ref()).unwrap_or(default.open_for);
    let max_open_for = time(BreakerSetting::MaxOpenFor, |open| open.max_open_for.as_ref());
    let decay = time(BreakerSetting::Decay, |open| open.decay.as_ref()).unwrap_or(default.decay);
    let factor = cascade.take(BreakerSetting::Factor, block, |open| open.factor.as_ref(), written);
    let jitter =
        cascade.take(BreakerSetting::JitterPercent, block, |open| open.jitter_percent.as_ref(), written);
    OpenPolicy {
        open_for,
        factor: factor.unwrap_or(default.factor),
        // Who writes only a long openFor does not want it cut.
        max_open_for: max_open_for.unwrap_or(default.max_open_for.max(open_for)),
        jitter_percent: jitter.and_then(|jitter| u8::try_from(jitter).ok()).unwrap_or(default.jitter_percent),
        decay,
    }
}

fn half_open<'a>(cascade: &Cascade<'a, CircuitBreaker>, written: &mut Written<'a>) -> HalfOpenPolicy {
    let default = HalfOpenPolicy::default();
    let block: BlockOf<raw::HalfOpen> = |spec| spec.half_open.as_ref();
    let mut number = |setting, field: fn(&raw::HalfOpen) -> Option<&Spanned<u32>>| {
        cascade.take(setting, block, field, written).and_then(NonZeroU32::new)
    };
    let probes = number(BreakerSetting::Probes, |half| half.probes.as_ref()).unwrap_or(default.probes);
    let successes =
        number(BreakerSetting::Successes, |half| half.successes.as_ref()).unwrap_or(default.successes);
    let mut time = |setting, field: fn(&raw::HalfOpen) -> Option<&Spanned<Duration>>| {
        cascade.take(setting, block, field, written)
    };
    let lease = time(BreakerSetting::Lease, |half| half.lease.as_ref()).unwrap_or(default.lease);
    let patience = time(BreakerSetting::Patience, |half| half.patience.as_ref()).unwrap_or(default.patience);
    HalfOpenPolicy { probes, successes, lease, patience }
}

fn ramp<'a>(cascade: &Cascade<'a, CircuitBreaker>, written: &mut Written<'a>) -> RampPolicy {
    let default = RampPolicy::default();
    let block: BlockOf<raw::Ramp> = |spec| spec.ramp.as_ref();
    let share = cascade.take(
        BreakerSetting::RampFailurePercent,
        block,
        |ramp| ramp.failure_percent.as_ref(),
        written,
    );
    RampPolicy {
        ramp_for: cascade
            .take(BreakerSetting::RampFor, block, |ramp| ramp.ramp_for.as_ref(), written)
            .unwrap_or(default.ramp_for),
        failure_percent: percent(share).unwrap_or(default.failure_percent),
        minimum_calls: cascade
            .take(BreakerSetting::RampMinimumCalls, block, |ramp| ramp.minimum_calls.as_ref(), written)
            .unwrap_or(default.minimum_calls),
    }
}

/// 0 is off.
fn percent(written: Option<u32>) -> Option<Percent> {
    Percent::new(u8::try_from(written?).ok()?)
}
