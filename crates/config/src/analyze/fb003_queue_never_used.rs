//! FB003: a bound on requests that wait for a connection, where none ever waits for one.

use super::scene::{Scene, Written};
use crate::diagnostic::{Code, Diagnostics};

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        check_policy(&policy, diagnostics);
    }
}

fn check_policy(policy: &Written<'_>, diagnostics: &mut Diagnostics) {
    let Some(pool) = policy.connection_pool else { return };
    let Some(http) = &pool.http else { return };
    let Some(queue) = http.http1_max_pending_requests.filter(|queue| queue.value > 0) else { return };
    let connections = pool.tcp.as_ref().and_then(|tcp| tcp.max_connections).filter(|bound| bound.value > 0);
    let requests = http.http2_max_requests.filter(|bound| bound.value > 0);
    let (because, help) = match (connections, requests) {
        (None, _) => (
            "without maxConnections there is always a connection to have".to_owned(),
            "write tcp: {maxConnections: …} beside it, or delete it",
        ),
        (Some(connections), Some(requests)) if requests.value < connections.value => (
            format!(
                "http2MaxRequests {} refuses before the {} connections are busy",
                requests.value, connections.value
            ),
            "write an http2MaxRequests that is not below maxConnections, or delete it",
        ),
        _ => return,
    };
    let message = format!("http1MaxPendingRequests {} has no effect: {because}", queue.value);
    diagnostics.push(
        policy
            .rule
            .diagnostic(Code::QueueNeverUsed, queue.span, message)
            .field(format!("{}.connectionPool.http.http1MaxPendingRequests", policy.path))
            .help(help),
    );
}
