//! Resources of ours that are for a host, port or subset which no service has.

use fuseboard_api::{Span, Spanned};

use super::hostname;
use super::registry::Service;
use super::rule_index::RuleIndex;
use crate::diagnostic::{Code, Diagnostics};
use crate::set::Resource;
use crate::workload::Workload;

/// What is looked for: as it is written in a resource, and the resource's full host.
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) written: Span,
    pub(super) port: Option<&'a Spanned<u32>>,
    pub(super) subset: Option<&'a Spanned<String>>,
}

/// The services and their rules.
pub(super) struct Known<'k, 'a> {
    pub(super) services: &'k [Service<'a>],
    pub(super) rules: &'k RuleIndex<'a>,
    pub(super) workload: &'k Workload,
}

impl Known<'_, '_> {
    /// Says so if `resource`, a `noun`, is for nobody. Where there is no service at all, nothing can be said.
    pub(super) fn report<R>(
        &self,
        resource: &Resource<R>,
        target: &Target<'_>,
        (code, noun): (Code, &str),
        diagnostics: &mut Diagnostics,
    ) {
        let Target { host, written, port, subset } = target;
        if self.services.is_empty() {
            return;
        }
        let covered: Vec<_> =
            self.services.iter().filter(|service| hostname::covers(host, &service.host)).collect();
        let has_port = |wanted: u32| {
            covered.iter().any(|service| service.ports.iter().any(|own| u32::from(own.number) == wanted))
        };
        let has_subset = |wanted: &str| {
            covered.iter().any(|service| {
                let rule = self.rules.choose(&service.host, &service.namespace, self.workload);
                rule.is_some_and(|rule| rule.subsets.iter().any(|own| own.subset.name.value == wanted))
            })
        };
        let (at, field, message, help) = if covered.is_empty() {
            let message = format!("no service is called {host}: the {noun} has no effect");
            let help = "write the name of the service; with a dot in it, its full name";
            (*written, "spec.host", message, help)
        } else if let Some(port) = port.filter(|port| !has_port(port.value)) {
            let message = format!("{host} has no port {}: the {noun} has no effect", port.value);
            (port.span, "spec.port", message, "write the number of a port of the Service, not of the pod")
        } else if let Some(subset) = subset.filter(|subset| !has_subset(subset)) {
            let message = format!(
                "no DestinationRule gives {host} a subset {}: the {noun} has no effect",
                subset.value
            );
            (subset.span, "spec.subset", message, "write the name of a subset of the host's DestinationRule")
        } else {
            return;
        };
        diagnostics.push(resource.diagnostic(code, at, message).field(field).help(help));
    }
}
