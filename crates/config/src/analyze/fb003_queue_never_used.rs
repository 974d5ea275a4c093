//! FB003: a bound on requests that wait for a connection, where none ever waits for one.

use super::scene::{Scene, Written};
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::connection_pool;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    for policy in scene.policies() {
        check_policy(scene, &policy, diagnostics);
    }
}

fn check_policy(scene: &Scene<'_>, policy: &Written<'_>, diagnostics: &mut Diagnostics) {
    let Some(pool) = policy.connection_pool else { return };
    let Some(http) = &pool.http else { return };
    let Some(queue) = http.http1_max_pending_requests.filter(|queue| queue.value > 0) else { return };
    let connections = pool.tcp.as_ref().and_then(|tcp| tcp.max_connections).filter(|bound| bound.value > 0);
    let requests = http.http2_max_requests.filter(|bound| bound.value > 0);
    let (because, help) = match (connections, requests) {
        (None, _) => (
            "without maxConnections there is always a connection to have".to_owned(),
            "write tcp: {maxConnections: …} beside it, or delete it".to_owned(),
        ),
        (Some(connections), Some(requests)) => {
            let each = carried(scene, policy);
            let places = i64::from(connections.value) * i64::from(each);
            if i64::from(requests.value) >= places {
                return;
            }
            let of_each = if each == 1 { String::new() } else { format!(" of {each} requests each") };
            let enough = if each == 1 {
                "that is not below maxConnections".to_owned()
            } else {
                format!("of {places}")
            };
            (
                format!(
                    "http2MaxRequests {} refuses before the {} connections{of_each} are busy",
                    requests.value, connections.value
                ),
                format!("write an http2MaxRequests {enough}, or delete it"),
            )
        }
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

/// Requests that a connection carries at a time; of several ports, those of the one whose queue is used first. HTTP/1.1 where no
/// port is known.
fn carried(scene: &Scene<'_>, policy: &Written<'_>) -> u32 {
    let in_all = connection_pool::connection(policy.connection_pool.map(|pool| &pool.value)).max_requests;
    scene.spoken(policy).iter().map(|spoken| spoken.http.at_a_time(in_all)).min().unwrap_or(1)
}
