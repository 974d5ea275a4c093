//! Routing tables in the shape of Envoy's `RouteConfiguration` message.

use fuseboard_core::limit::Priority;
use fuseboard_core::retry::{RetryOn, RetryPolicy};
use fuseboard_snapshot::{Domain, Route, RouteConfig, Snapshot, VirtualHost};

use super::proto_duration;
use crate::proxy_config::Tree;

const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// Envoy's words, in the order in which its documentation has them.
const CONDITIONS: [(RetryOn, &str); 10] = [
    (RetryOn::FIVE_XX, "5xx"),
    (RetryOn::GATEWAY_ERROR, "gateway-error"),
    (RetryOn::RESET, "reset"),
    (RetryOn::RESET_BEFORE_REQUEST, "reset-before-request"),
    (RetryOn::CONNECT_FAILURE, "connect-failure"),
    (RetryOn::RETRIABLE_4XX, "retriable-4xx"),
    (RetryOn::REFUSED_STREAM, "refused-stream"),
    (RetryOn::RETRIABLE_STATUS_CODES, "retriable-status-codes"),
    (RetryOn::UNAVAILABLE, "unavailable"),
    (RetryOn::CANCELLED, "cancelled"),
];

/// One table.
pub(super) fn tree(config: &RouteConfig, snapshot: &Snapshot) -> Tree {
    let hosts = config.virtual_hosts.iter().map(|host| virtual_host(host, snapshot));
    Tree::of([
        ("@type", Tree::from(ROUTES)),
        ("name", Tree::from(&*config.name)),
        ("virtual_hosts", Tree::List(hosts.collect())),
    ])
}

fn virtual_host(host: &VirtualHost, snapshot: &Snapshot) -> Tree {
    let domains = host.domains.iter().map(|domain| match domain {
        Domain::Exact(name) => Tree::from(&**name),
        Domain::Suffix(end) => Tree::from(format!("*{end}")),
        Domain::Any => Tree::from("*"),
    });
    Tree::of([
        ("name", Tree::from(&*host.name)),
        ("domains", Tree::List(domains.collect())),
        ("routes", Tree::List(vec![route(&host.route, snapshot)])),
    ])
}

fn route(route: &Route, snapshot: &Snapshot) -> Tree {
    let cluster = &snapshot.clusters[route.cluster].name;
    let time = route.timeout.map_or_else(|| "0s".to_owned(), proto_duration);
    let mut action = vec![("cluster", Tree::from(&**cluster)), ("timeout", Tree::from(time))];
    action.extend(route.retry.as_ref().map(|policy| ("retry_policy", retries(policy))));
    if route.priority == Priority::High {
        action.push(("priority", Tree::from("HIGH")));
    }
    Tree::of([
        ("match", Tree::of([("prefix", Tree::from("/"))])),
        ("route", Tree::of(action)),
        ("name", Tree::from(&*route.name)),
    ])
}

fn retries(policy: &RetryPolicy) -> Tree {
    let conditions = CONDITIONS.iter().filter(|(condition, _)| policy.retry_on.contains(*condition));
    let conditions: Vec<&str> = conditions.map(|(_, word)| *word).collect();
    let back_off = [
        ("base_interval", Tree::from(proto_duration(policy.base_interval))),
        ("max_interval", Tree::from(proto_duration(policy.max_interval))),
    ];
    let mut fields = vec![
        ("retry_on", Tree::from(conditions.join(","))),
        ("num_retries", Tree::from(u64::from(policy.num_retries))),
    ];
    fields.extend(policy.per_try_timeout.map(|time| ("per_try_timeout", Tree::from(proto_duration(time)))));
    if policy.host_selection_attempts > 0 {
        let name = Tree::of([("name", Tree::from("envoy.retry_host_predicates.previous_hosts"))]);
        let attempts = policy.host_selection_attempts.to_string();
        fields.push(("retry_host_predicate", Tree::List(vec![name])));
        fields.push(("host_selection_retry_max_attempts", Tree::from(attempts)));
    }
    if !policy.retriable_status_codes.is_empty() {
        let codes = policy.retriable_status_codes.iter().map(|code| Tree::from(u64::from(*code)));
        fields.push(("retriable_status_codes", Tree::List(codes.collect())));
    }
    fields.push(("retry_back_off", Tree::of(back_off)));
    Tree::of(fields)
}
