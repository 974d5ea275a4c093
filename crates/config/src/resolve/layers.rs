//! Which of our own resources are for a cluster, the closest first, so that a field that one of them leaves out is the next
//! one's.
//!
//! The closer host goes first: a name before a wildcard, a longer wildcard before a shorter one. Of one host, the client's
//! namespace goes before the service's and that before the root namespace; of one namespace, a subset before a port before
//! neither. What the fields mean is the business of those who ask.

use std::cmp::Reverse;
use std::sync::Arc;

use fuseboard_api::Spanned;
use fuseboard_api::fuseboard::{CircuitBreaker, DestinationPolicy};

use super::hostname;
use crate::diagnostic::{Code, Diagnostics};
use crate::set::Resource;
use crate::workload::Workload;

/// A resource that says what it is for.
pub(super) trait Targeted {
    fn host(&self) -> &Spanned<String>;
    fn port(&self) -> Option<u32>;
    fn subset(&self) -> Option<&str>;
}

/// What two resources for the same are called, and how that is reported.
pub(super) struct Twice {
    pub(super) code: Code,
    /// `host and port`
    pub(super) target: &'static str,
}

/// A resource and its full host.
#[derive(Debug)]
pub(super) struct Layer<'a, R> {
    pub(super) host: Arc<str>,
    pub(super) resource: &'a Resource<R>,
}

/// All resources of a kind that count.
#[derive(Debug)]
pub(super) struct Layers<'a, R> {
    layers: Vec<Layer<'a, R>>,
    workload: &'a Workload,
}

/// The resources for one cluster, the closest first.
#[derive(Debug)]
pub(crate) struct Cascade<'a, R> {
    pub(crate) layers: Vec<&'a Resource<R>>,
}

impl<'a, R: Targeted> Layers<'a, R> {
    /// Two of one namespace for the same host, port and subset are reported; the older one counts.
    pub(super) fn new(
        resources: &'a [Resource<R>],
        workload: &'a Workload,
        twice: &Twice,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut sorted: Vec<_> = resources.iter().collect();
        sorted.sort_by_key(|one| (one.created.as_deref(), &one.id.name, &one.id.namespace));
        let mut layers: Vec<Layer<'a, R>> = Vec::new();
        for resource in sorted {
            let (host, spec) = (host(resource, workload), &resource.spec);
            let same = |layer: &&Layer<'_, R>| {
                layer.host == host
                    && layer.resource.id.namespace == resource.id.namespace
                    && layer.resource.spec.port() == spec.port()
                    && layer.resource.spec.subset() == spec.subset()
            };
            if let Some(older) = layers.iter().find(same) {
                let message = format!(
                    "{} ({}) is for the same {}: it counts, this one does not",
                    older.resource.id,
                    older.resource.location(older.resource.span),
                    twice.target
                );
                let found = resource.diagnostic(twice.code, spec.host().span, message);
                diagnostics.push(found.field("spec.host").help("write all settings in one of them"));
            } else {
                layers.push(Layer { host, resource });
            }
        }
        Self { layers, workload }
    }

    /// All of them, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Layer<'a, R>> {
        self.layers.iter()
    }

    pub(super) fn workload(&self) -> &'a Workload {
        self.workload
    }

    pub(super) fn len(&self) -> usize {
        self.layers.len()
    }

    /// Those for `port` and `subset` (empty: none) of the service `host` of `namespace`.
    pub(super) fn of(&self, host: &str, namespace: &str, port: u16, subset: &str) -> Cascade<'a, R> {
        let namespaces = [&*self.workload.namespace, namespace, &*self.workload.root_namespace];
        let mut found: Vec<_> = self
            .layers
            .iter()
            .filter(|layer| hostname::covers(&layer.host, host))
            .filter(|layer| layer.resource.spec.port().is_none_or(|own| own == u32::from(port)))
            .filter(|layer| layer.resource.spec.subset().is_none_or(|own| own == subset))
            .filter_map(|layer| {
                let place = namespaces.iter().position(|own| *own == &*layer.resource.id.namespace)?;
                Some((layer, place))
            })
            .collect();
        found.sort_by_key(|(layer, place)| {
            let spec = &layer.resource.spec;
            let exact = !hostname::is_wildcard(&layer.host);
            let closeness = (exact, layer.host.len());
            (Reverse(closeness), *place, Reverse((spec.subset().is_some(), spec.port().is_some())))
        });
        Cascade { layers: found.into_iter().map(|(layer, _)| layer.resource).collect() }
    }
}

impl<R> Default for Cascade<'_, R> {
    fn default() -> Self {
        Self { layers: Vec::new() }
    }
}

impl<'a, R> Cascade<'a, R> {
    /// The closest value of a field, and the resource that has it.
    pub(super) fn find<T: 'a>(
        &self,
        field: impl Fn(&'a R) -> Option<&'a Spanned<T>>,
    ) -> Option<(&'a Resource<R>, &'a Spanned<T>)> {
        self.layers.iter().find_map(|layer| Some((*layer, field(&layer.spec)?)))
    }
}

/// The full host of a resource.
pub(super) fn host<R: Targeted>(resource: &Resource<R>, workload: &Workload) -> Arc<str> {
    hostname::expand(resource.spec.host(), &resource.id.namespace, &workload.domain_suffix)
}

impl Targeted for CircuitBreaker {
    fn host(&self) -> &Spanned<String> {
        &self.host
    }

    fn port(&self) -> Option<u32> {
        self.port.as_ref().map(|port| port.value)
    }

    fn subset(&self) -> Option<&str> {
        self.subset.as_ref().map(|subset| subset.value.as_str())
    }
}

impl Targeted for DestinationPolicy {
    fn host(&self) -> &Spanned<String> {
        &self.host
    }

    fn port(&self) -> Option<u32> {
        self.port.as_ref().map(|port| port.value)
    }

    fn subset(&self) -> Option<&str> {
        None
    }
}
