//! Rules between fields, with the messages of Istio's validation (its webhook and its schema), and what Kubernetes'
//! API server would refuse. Each function looks at the tree and decodes block by block, so that a mistake in one block does
//! not hide those in another.

mod block;
mod circuit_breaker;
mod destination_policy;
mod destination_rule;
mod fallback;
mod kubernetes;
mod load_balancer;
mod name;
mod service_entry;
mod traffic_policy;

pub(crate) use fallback::{base64_of, word_of};
use fuseboard_api::kind::Kind;
use fuseboard_api::tree::Node;
use fuseboard_api::{Span, Spanned, field};

use crate::diagnostic::Code;
use crate::load::report::{FieldPath, Report};

/// Checks the fields of a resource: `node` is what stands under `spec`, or the whole resource where there is none.
pub(super) fn check(kind: Kind, namespace: &str, node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    match kind {
        Kind::DestinationRule => destination_rule::check(node, namespace, path, report),
        Kind::ServiceEntry => service_entry::check(node, path, report),
        Kind::Service => kubernetes::service(node, path, report),
        Kind::Endpoints => kubernetes::endpoints(node, path, report),
        Kind::EndpointSlice => kubernetes::endpoint_slice(node, path, report),
        // What is in a secret matters where a rule names it.
        Kind::Pod | Kind::Secret => {}
        Kind::DestinationPolicy => destination_policy::check(node, path, report),
        Kind::CircuitBreaker => circuit_breaker::check(node, path, report),
        Kind::Fallback => fallback::check(node, path, report),
    }
}

/// Checks `metadata.name` and `metadata.namespace`, which become parts of names.
pub(super) fn metadata(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    for (key, fits) in [("name", name::is_dns_name as fn(&str) -> bool), ("namespace", name::is_dns_label)] {
        let Some(value) = field::<String>(node, key) else { continue };
        if !fits(&value) || value.chars().any(char::is_uppercase) {
            let message = format!("{:?} cannot be the {key} of a resource", value.value);
            let help = "write lower-case letters, digits and '-', with a letter or digit at both ends";
            report.add(Code::InvalidName, value.span, &path.key(key), message, help);
        }
    }
}

/// A port must be 1 to 65535.
fn port_number(port: Spanned<u32>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if !(1..=65535).contains(&port.value) {
        let message = format!("port number {} must be in the range 1..65535", port.value);
        invalid(report, port.span, path, message, "write the number of the service's port");
    }
}

/// A finding of Istio's validation.
fn invalid(
    report: &mut Report<'_>,
    span: Span,
    path: &FieldPath<'_>,
    message: impl Into<String>,
    help: impl Into<String>,
) {
    report.add(Code::SchemaValidationError, span, path, message, help);
}

/// Where `key` is written, or `at` if it is not.
fn key_span(node: &Node, key: &str, at: Span) -> Span {
    node.entries().iter().find(|entry| entry.key.value == key).map_or(at, |entry| entry.key.span)
}
