//! `CircuitBreaker`: when calls to a destination stop, and how they come back. Every field may be left to a
//! `CircuitBreaker` for more services, and in the end to its default.

use std::time::Duration;

pub use super::failures::{Failures, Weight};

use crate::schema::{choice, object};

object! {
    /// `CircuitBreaker`: what is written under `spec`.
    pub struct CircuitBreaker {
        /// The service, as in a `DestinationRule`; a wildcard (`"*"`) gives defaults to the services that it covers.
        host: required String = "host", Supported;
        /// Service port; absent: all ports.
        port: optional u32 = "port", Supported;
        /// Subset of the service's `DestinationRule`; absent: the service and all its subsets.
        subset: optional String = "subset", Supported;
        /// `enforce` refuses; `shadow` decides, counts and shows, and refuses nothing; `disabled` does nothing. Default: `enforce`.
        mode: optional Mode = "mode", Supported;
        /// `destination`: one breaker for all calls; `endpoint`: one for each address. Default: `destination`.
        scope: optional Scope = "scope", Supported;
        /// What opens it; any one is enough.
        trip: optional Trip = "trip", Supported;
        /// Which calls the percentages are of.
        window: optional Window = "window", Supported;
        /// What counts as a failure.
        failures: optional Failures = "failures", Supported;
        /// How long it stays open.
        open: optional Open = "open", Supported;
        /// How it finds out whether to close.
        half_open: optional HalfOpen = "halfOpen", Supported;
        /// How traffic comes back after closing: 10, 25, 50 and 100 percent of it, a quarter of the time each.
        ramp: optional Ramp = "ramp", Supported;
    }
}

choice! {
    /// What becomes of its decisions.
    pub enum Mode {
        /// Acted on.
        Enforce = "enforce", Supported;
        /// Shown, not acted on.
        Shadow = "shadow", Supported;
        /// None are made.
        Disabled = "disabled", Supported;
    }
}

choice! {
    /// What one breaker watches over.
    pub enum Scope {
        /// All calls to the service.
        Destination = "destination", Supported;
        /// The calls to one endpoint; those that it does not take go to others.
        Endpoint = "endpoint", Supported;
    }
}

object! {
    /// What opens a closed breaker.
    pub struct Trip {
        /// So many failures with no success between them. Default, and 0: off.
        consecutive_failures: optional u32 = "consecutiveFailures", Supported;
        /// This share of the calls in the window failed, 1 to 100. Default, and 0: off.
        failure_percent: optional u32 = "failurePercent", Supported;
        /// This share of the calls in the window was slow, 1 to 100; with `slowerThan`. Default, and 0: off.
        slow_percent: optional u32 = "slowPercent", Supported;
        /// A call that takes longer is slow, and counted as such when it passes this bound; no default.
        slower_than: optional Duration = "slowerThan", Supported;
        /// A number of failures in a time.
        failures: optional FailureCount = "failures", Supported;
        /// Percentages of fewer calls than this are not looked at. Default: 0; with a window of calls, at most its size.
        minimum_calls: optional u32 = "minimumCalls", Supported;
    }
}

object! {
    /// A number of failures in a time.
    pub struct FailureCount {
        /// How many, up to 4096. Default, and 0: off.
        count: optional u32 = "count", Supported;
        /// The last of them at most this long after the first; no default.
        within: optional Duration = "within", Supported;
    }
}

object! {
    /// Which calls percentages are computed of: the last so many, or those of the last so long.
    pub struct Window {
        /// The last so many calls, up to 65536.
        calls: optional u32 = "calls", Supported;
        /// The calls of this time, 100ms to 1h; a tenth of it is dropped at a time. Default: 10s.
        time: optional Duration = "time", Supported;
    }
}

object! {
    /// How long a breaker stays open.
    pub struct Open {
        /// The first time. Default: 30s.
        open_for: optional Duration = "openFor", Supported;
        /// Each further time is so many times longer, 1 to 100. Default: 2.
        factor: optional f64 = "factor", Supported;
        /// But at most this, apart from the jitter. Default: 5m, or `openFor` if that is longer.
        max_open_for: optional Duration = "maxOpenFor", Supported;
        /// Up to so many percent are added at random, so that many proxies don't probe at once. Default: 10.
        jitter_percent: optional u32 = "jitterPercent", Supported;
        /// The next time gets one step shorter for each such time spent closed; 0s: at once. Default: 1m.
        decay: optional Duration = "decay", Supported;
    }
}

object! {
    /// How a breaker finds out whether to close.
    pub struct HalfOpen {
        /// Calls that are let through at a time, 1 to 1000. Default: 1.
        probes: optional u32 = "probes", Supported;
        /// Good probes that close it, 1 to 1000; the first bad one opens it again. Default: 1.
        successes: optional u32 = "successes", Supported;
        /// A probe that is not back by then gives its place to another, and its result no longer counts. Default: 10s.
        lease: optional Duration = "lease", Supported;
        /// Open again if so long after a probe was let out none has come back with a result. Default: 30s.
        patience: optional Duration = "patience", Supported;
    }
}

object! {
    /// How traffic comes back.
    pub struct Ramp {
        /// How long that takes; 0s: at once. Default: 0s.
        ramp_for: optional Duration = "rampFor", Supported;
        /// This share of the calls since the ramp began failed or were slow: open again, 1 to 100. Default: 50.
        failure_percent: optional u32 = "failurePercent", Supported;
        /// Not looked at for fewer calls. Default: 5.
        minimum_calls: optional u32 = "minimumCalls", Supported;
    }
}
