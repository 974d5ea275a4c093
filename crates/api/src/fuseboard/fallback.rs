//! `Fallback`: what is answered when a service gives no good answer. Every field may be left to a `Fallback` for more
//! services, and in the end to its default.

use std::time::Duration;

use crate::scalar::IntOrText;
use crate::schema::object;
use crate::span::{List, Map};

object! {
    /// `Fallback`: what is written under `spec`.
    pub struct Fallback {
        /// The service, as in a `DestinationRule`; a wildcard (`"*"`) gives defaults to the services that it covers.
        host: required String = "host", Supported;
        /// Service port; absent: all ports.
        port: optional u32 = "port", Supported;
        /// Subset of the service's `DestinationRule`; absent: the service and all its subsets.
        subset: optional String = "subset", Supported;
        /// The requests that it is for.
        matching: optional Match = "match", Supported;
        /// The failures that it is for: `any`, `breaker`, `limit`, a refusal reason (`no_healthy`), `timeout`, `connect_failure`, `reset`, `protocol_error`, a status (503), a class (5xx) or a code of gRPC (UNAVAILABLE). Default: `any`, which is everything but answers below 500.
        when: optional List<IntOrText> = "when", Supported;
        /// What is kept of good answers, where there is a step `cached`.
        cache: optional Cache = "cache", Supported;
        /// Requests in one step at a time, 1 to 100000; more of them go on to the next step. Default: 100.
        max_concurrent: optional u32 = "maxConcurrent", Supported;
        /// What is tried, one after the other; at most 8. Where none helps the failure itself is answered.
        steps: optional List<Step> = "steps", Supported;
    }
}

object! {
    /// Which requests.
    pub struct Match {
        /// Methods; `"*"`: all. Default: GET, HEAD and OPTIONS, which change nothing.
        methods: optional List<String> = "methods", Supported;
        /// Paths, without query; any one is enough. Default: all.
        paths: optional List<Path> = "paths", Supported;
    }
}

object! {
    /// A pattern for paths: one of the two.
    pub struct Path {
        /// This path.
        exact: optional String = "exact", Supported;
        /// All paths that begin so.
        prefix: optional String = "prefix", Supported;
    }
}

object! {
    /// What is kept of good answers. What is not used for longest goes first.
    pub struct Cache {
        /// Older answers are not given, 1s to 24h. Default: 5m.
        max_age: optional Duration = "maxAge", Supported;
        /// Memory for all answers of one cluster, 64Ki to 1Gi. Default: 16Mi.
        max_bytes: optional IntOrText = "maxBytes", Supported;
        /// Larger answers are not kept, 1Ki to 16Mi. Default: 256Ki.
        max_answer_bytes: optional IntOrText = "maxAnswerBytes", Supported;
        /// Fields of the request that must be the same, beside method, authority and target. Default: none; what an answer's `Vary` names is always looked at.
        headers: optional List<String> = "headers", Supported;
    }
}

object! {
    /// One step: `cached`, `service` or `static`.
    pub struct Step {
        /// Failures that it is for, of those that the chain is for. Default: all of them.
        when: optional List<IntOrText> = "when", Supported;
        /// Requests that it is for, of those that the chain is for. Default: all of them.
        matching: optional Match = "match", Supported;
        /// Requests in it at a time, 1 to 100000.
        max_concurrent: optional u32 = "maxConcurrent", Supported;
        /// The last good answer to the same request; GET and HEAD only.
        cached: optional Cached = "cached", Supported;
        /// The answer of another service or subset.
        service: optional Service = "service", Supported;
        /// An answer that is written here.
        fixed: optional Static = "static", Supported;
    }
}

object! {
    /// The last good answer.
    pub struct Cached {
        /// Older answers are not given by this step, 1s to 24h. Default: `cache.maxAge`.
        max_age: optional Duration = "maxAge", Supported;
    }
}

object! {
    /// Another service. Its own limits, breaker and `Fallback` hold.
    pub struct Service {
        /// The service, as in a `DestinationRule`; absent: the same one, with another subset or port.
        host: optional String = "host", Supported;
        /// Service port; absent: the same number if the service has it, else its only HTTP port, or 80.
        port: optional u32 = "port", Supported;
        /// Subset; absent: the whole service.
        subset: optional String = "subset", Supported;
        /// How long it may take, even where the request's own time is up, 1ms to 1h. Default: what the request's time-out leaves.
        timeout: optional Duration = "timeout", Supported;
    }
}

object! {
    /// An answer that is written in the rule.
    pub struct Static {
        /// Status, 200 to 599. Default: 200.
        status: optional u32 = "status", Supported;
        /// Fields; `${host}`, `${reason}` and `${requestId}` in them are filled in. Default: `content-type: text/plain`.
        headers: optional Map<String> = "headers", Supported;
        /// Body, filled in likewise; `$$` is a dollar. Default: empty.
        body: optional String = "body", Supported;
        /// A file with the body, beside the file of this rule or in a folder below; read with the rules, up to 64 KiB.
        body_file: optional String = "bodyFile", Supported;
        /// What calls of gRPC get. Absent: a status from 400 on ends them with the code that Envoy maps it to, and others leave the step out.
        grpc: optional Call = "grpc", Supported;
    }
}

object! {
    /// How a call of gRPC is answered: with a message, or with an error.
    pub struct Call {
        /// The code by name (UNAVAILABLE). Default: OK.
        status: optional String = "status", Supported;
        /// Words of an error for the caller (`grpc-message`), filled in like the body.
        message: optional String = "message", Supported;
        /// The answer's only message, encoded as its type says, in base64. Default: a message whose fields are all at their defaults.
        body: optional String = "body", Supported;
        /// A file with the encoded message, where `bodyFile` of the answer may lie.
        body_file: optional String = "bodyFile", Supported;
    }
}
