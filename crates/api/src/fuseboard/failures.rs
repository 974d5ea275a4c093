//! What counts as a failure, in the same words wherever one of our resources asks for it.

use crate::scalar::IntOrText;
use crate::schema::{choice, object};
use crate::span::List;

object! {
    /// What counts as a failure. All other answers count as successes; calls that the client gave up are not counted.
    pub struct Failures {
        /// Answers that count as failures: statuses (429), classes (5xx), `gateway` (502, 503, 504), `server` (5xx), codes of gRPC (UNAVAILABLE). A status stands for the codes that Envoy maps to it, too. Default: 5xx.
        statuses: optional List<IntOrText> = "statuses", Supported;
        /// Answers that say nothing and are not counted as calls; goes before `statuses`, a named code of gRPC before a status. Default: none.
        ignored_statuses: optional List<IntOrText> = "ignoredStatuses", Supported;
        /// Connections that were refused or found no way. Default: `failure`.
        connect_failures: optional Weight = "connectFailures", Supported;
        /// Connections that were not made within `connectTimeout`. Default: `failure`.
        connect_timeouts: optional Weight = "connectTimeouts", Supported;
        /// Answers that did not come in time. Default: `failure`.
        timeouts: optional Weight = "timeouts", Supported;
        /// Connections that ended before the answer. Default: `failure`.
        resets: optional Weight = "resets", Supported;
        /// Answers that were not HTTP. Default: `failure`.
        protocol_errors: optional Weight = "protocolErrors", Supported;
    }
}

choice! {
    /// What a call without an answer says of the destination.
    pub enum Weight {
        /// It counts against it.
        Failure = "failure", Supported;
        /// Nothing; it is not counted as a call.
        Ignored = "ignored", Supported;
    }
}
