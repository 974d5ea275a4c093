//! Which `DestinationPolicy` (our own resource) applies to a service port: hosts and namespaces as for a
//! `DestinationRule`, and the policy for the port before the one for all ports. Policies are never combined.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_api::Spanned;
use fuseboard_api::fuseboard::DestinationPolicy;
use fuseboard_snapshot::Origin;

use super::host_table::HostTable;
use super::hostname;
use super::registry::Service;
use crate::diagnostic::{Code, Diagnostics};
use crate::set::Resource;
use crate::workload::Workload;

/// All policies, by namespace and host.
#[derive(Debug, Default)]
pub(super) struct PolicyIndex<'a>(BTreeMap<&'a str, HostTable<&'a Resource<DestinationPolicy>>>);

/// What a policy says of one port.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    /// Bound of the whole exchange; `Some(None)`: written as 0s, which is off.
    pub(super) timeout: Option<(Option<Duration>, Arc<Origin>)>,
    /// Bound of the wait in the pending queue.
    pub(super) queue_timeout: Option<(Option<Duration>, Arc<Origin>)>,
}

impl Bounds {
    /// Whether nothing is said.
    pub(super) const fn is_empty(&self) -> bool {
        self.timeout.is_none() && self.queue_timeout.is_none()
    }
}

impl<'a> PolicyIndex<'a> {
    /// The index of `policies`. Two for the same host and port are reported.
    pub(super) fn new(
        policies: &'a [Resource<DestinationPolicy>],
        workload: &Workload,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut sorted: Vec<_> = policies.iter().collect();
        sorted.sort_by_key(|policy| (policy.created.as_deref(), &policy.id.name, &policy.id.namespace));
        let mut index = Self::default();
        for policy in sorted {
            let same_host = index.0.entry(&policy.id.namespace).or_default().entry(&host(policy, workload));
            if let Some(older) = same_host.iter().find(|older| port(older) == port(policy)) {
                let message =
                    format!("{} is for the same host and port: it counts, this one does not", older.id);
                diagnostics.push(
                    policy
                        .diagnostic(Code::TwoPoliciesForHost, policy.spec.host.span, message)
                        .field("spec.host")
                        .help("write all settings in one of them"),
                );
            }
            same_host.push(policy);
        }
        index
    }

    /// What applies to `port` of the service `host` of `namespace`.
    pub(super) fn bounds(&self, host: &str, namespace: &str, port: u16, workload: &Workload) -> Bounds {
        let namespaces = [&*workload.namespace, namespace, &*workload.root_namespace];
        let found = namespaces.into_iter().find_map(|owner| {
            let candidates = self.0.get(owner)?.closest(host)?;
            let number =
                |policy: &Resource<DestinationPolicy>| policy.spec.port.as_ref().map(|port| port.value);
            let for_port = candidates.iter().find(|policy| number(policy) == Some(u32::from(port)));
            for_port.or_else(|| candidates.iter().find(|policy| number(policy).is_none()))
        });
        found.map_or_else(Bounds::default, |policy| Bounds {
            timeout: bound(policy, "spec.timeout", policy.spec.timeout.as_ref()),
            queue_timeout: bound(policy, "spec.queueTimeout", policy.spec.queue_timeout.as_ref()),
        })
    }
}

/// Says which policies are for none of `services`. Where there is no service at all, nothing can be said.
pub(super) fn report_unknown_hosts(
    policies: &[Resource<DestinationPolicy>],
    services: &[Service<'_>],
    workload: &Workload,
    diagnostics: &mut Diagnostics,
) {
    for policy in policies.iter().filter(|_| !services.is_empty()) {
        let host = host(policy, workload);
        if !services.iter().any(|service| hostname::covers(&host, &service.host)) {
            let message = format!("no service is called {host}: the policy has no effect");
            diagnostics.push(
                policy
                    .diagnostic(Code::UnknownPolicyHost, policy.spec.host.span, message)
                    .field("spec.host")
                    .help("write the name of the service; with a dot in it, its full name"),
            );
        }
    }
}

/// The full host of a policy.
pub(super) fn host(policy: &Resource<DestinationPolicy>, workload: &Workload) -> Arc<str> {
    hostname::expand(&policy.spec.host, &policy.id.namespace, &workload.domain_suffix)
}

fn port(policy: &Resource<DestinationPolicy>) -> Option<u32> {
    policy.spec.port.as_ref().map(|port| port.value)
}

fn bound(
    policy: &Resource<DestinationPolicy>,
    field: &str,
    written: Option<&Spanned<Duration>>,
) -> Option<(Option<Duration>, Arc<Origin>)> {
    let written = written?;
    Some(((!written.value.is_zero()).then_some(written.value), Arc::new(policy.origin(field, written))))
}
