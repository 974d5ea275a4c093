//! What breakers say of themselves, in words.

use fuseboard_core::breaker::Cause;

/// Why a breaker is in its state, as a sentence of a log has it.
pub fn cause_words(cause: &Cause) -> String {
    let percent = || cause.measured_percent().unwrap_or_default();
    match cause {
        Cause::Started => "it is new".to_owned(),
        Cause::ConsecutiveFailures { count } => format!("{count} failures in a row"),
        Cause::Failures { count } => format!("{count} failures in a short time"),
        Cause::FailurePercent(tally) => format!("{:.0} % of {} calls failed", percent(), tally.calls),
        Cause::SlowPercent(tally) => format!("{:.0} % of {} calls were slow", percent(), tally.calls),
        Cause::RampFailed { calls, .. } => {
            format!("{:.0} % of {calls} calls failed or were slow while traffic came back", percent())
        }
        Cause::ProbeFailed => "a probe failed".to_owned(),
        Cause::ProbeSlow => "a probe was slow".to_owned(),
        Cause::ProbesLost => "no probe came back in time".to_owned(),
        Cause::OpenTimeOver => "the open time is over".to_owned(),
        Cause::ProbesSucceeded { count: 1 } => "a good probe".to_owned(),
        Cause::ProbesSucceeded { count } => format!("{count} good probes"),
        Cause::RampCompleted => "all traffic is back".to_owned(),
        Cause::Forced(order) => format!("ordered: {}", order.reason),
        Cause::OverrideEnded(_) => "the order has ended".to_owned(),
        Cause::Reset { reason } => format!("reset: {reason}"),
        Cause::Disabled => "switched off".to_owned(),
    }
}
