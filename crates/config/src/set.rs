//! The resources of all files, read but not yet combined: what `resolve` and `analyze` start from.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use fuseboard_api::fuseboard::{CircuitBreaker, DestinationPolicy, Fallback};
use fuseboard_api::istio::{DestinationRule, ServiceEntry};
use fuseboard_api::kubernetes::{EndpointSlice, Endpoints, Pod, Secret, Service};
use fuseboard_api::{Span, Spanned};
use fuseboard_snapshot::{Location, Origin, ResourceRef};

use crate::diagnostic::{Code, Diagnostic};
use crate::listen::ListenPlan;
use crate::material::Materials;
use crate::source::{Place, Source};

/// Namespace of resources that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// One resource, with the text it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource<T> {
    /// Kind, namespace and name.
    pub id: ResourceRef,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.creationTimestamp`, RFC 3339; `None` for resources that no API server made.
    pub created: Option<String>,
    /// `metadata.uid`.
    pub uid: Option<String>,
    /// The text that all spans of the resource point into.
    pub source: Arc<Source>,
    /// The resource's name, where the text has it.
    pub span: Span,
    /// Its fields.
    pub spec: T,
}

impl<T> Resource<T> {
    /// Where `span` is.
    pub fn place(&self, span: Span) -> Place {
        Place { source: self.source.clone(), span }
    }

    /// File, line and column of `span`.
    pub fn location(&self, span: Span) -> Location {
        self.place(span).location()
    }

    /// The origin of a setting of this resource: `field` is its path (`spec.trafficPolicy…`), `value` what was written.
    pub fn origin<V>(&self, field: &str, value: &Spanned<V>) -> Origin {
        Origin { resource: self.id.clone(), field: field.into(), location: Some(self.location(value.span)) }
    }

    /// A diagnostic about `span` of this resource.
    pub fn diagnostic(&self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, message).resource(self.id.clone()).at(self.place(span))
    }
}

/// All usable resources, each kind in the order read; a resource with an error in it is not here but among `rejected`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceSet {
    /// `DestinationRule`s.
    pub destination_rules: Vec<Resource<DestinationRule>>,
    /// `ServiceEntry`s.
    pub service_entries: Vec<Resource<ServiceEntry>>,
    /// `Service`s.
    pub services: Vec<Resource<Service>>,
    /// `Endpoints`.
    pub endpoints: Vec<Resource<Endpoints>>,
    /// `EndpointSlice`s.
    pub endpoint_slices: Vec<Resource<EndpointSlice>>,
    /// `Pod`s, for their labels.
    pub pods: Vec<Resource<Pod>>,
    /// `Secret`s, for certificates and keys.
    pub secrets: Vec<Resource<Secret>>,
    /// `DestinationPolicy`s.
    pub destination_policies: Vec<Resource<DestinationPolicy>>,
    /// `CircuitBreaker`s.
    pub circuit_breakers: Vec<Resource<CircuitBreaker>>,
    /// `Fallback`s; the bodies that their files hold are in them.
    pub fallbacks: Vec<Resource<Fallback>>,
    /// The files that rules and flags name.
    pub materials: Materials,
    /// Resources that are not applied because of an error in them.
    pub rejected: Vec<ResourceRef>,
    /// Files and folders that, or parts of which, could not be read at all, so that it is unknown what is in them.
    pub unreadable: Vec<Arc<str>>,
}

impl ResourceSet {
    /// Reads the files that its rules and the flags of `plan` name. What is broken now stays as it is in `before`.
    pub fn read_materials(&mut self, plan: &ListenPlan, before: &Materials) {
        self.materials = Materials::read(self, plan, before);
    }

    /// Gives back what its lists have grown beyond their ends: it stays in memory for as long as its rules are in force.
    pub(crate) fn shrink(&mut self) {
        self.destination_rules.shrink_to_fit();
        self.service_entries.shrink_to_fit();
        self.services.shrink_to_fit();
        self.endpoints.shrink_to_fit();
        self.endpoint_slices.shrink_to_fit();
        self.pods.shrink_to_fit();
        self.secrets.shrink_to_fit();
        self.destination_policies.shrink_to_fit();
        self.circuit_breakers.shrink_to_fit();
        self.fallbacks.shrink_to_fit();
    }

    /// Fills the gaps that errors left: each rejected resource, and each resource that was in a file or folder which is
    /// now unreadable, is taken from `last_good` if it is there. What simply went away stays away.
    pub fn keep_last_good(&mut self, last_good: &Self) {
        let (rejected, unreadable) = (&self.rejected, &self.unreadable);
        keep(&mut self.destination_rules, &last_good.destination_rules, rejected, unreadable);
        keep(&mut self.service_entries, &last_good.service_entries, rejected, unreadable);
        keep(&mut self.services, &last_good.services, rejected, unreadable);
        keep(&mut self.endpoints, &last_good.endpoints, rejected, unreadable);
        keep(&mut self.endpoint_slices, &last_good.endpoint_slices, rejected, unreadable);
        keep(&mut self.secrets, &last_good.secrets, rejected, unreadable);
        keep(&mut self.pods, &last_good.pods, rejected, unreadable);
        keep(&mut self.destination_policies, &last_good.destination_policies, rejected, unreadable);
        keep(&mut self.circuit_breakers, &last_good.circuit_breakers, rejected, unreadable);
        keep(&mut self.fallbacks, &last_good.fallbacks, rejected, unreadable);
    }
}

fn keep<T: Clone>(
    now: &mut Vec<Resource<T>>,
    last_good: &[Resource<T>],
    rejected: &[ResourceRef],
    unreadable: &[Arc<str>],
) {
    let present: HashSet<ResourceRef> = now.iter().map(|new| new.id.clone()).collect();
    for old in last_good {
        let lost =
            rejected.contains(&old.id) || unreadable.iter().any(|path| is_within(&old.source.path, path));
        if lost && !present.contains(&old.id) {
            now.push(old.clone());
        }
    }
}

/// Whether `path` is `whole` or lies in the folder `whole`.
fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole)
        .is_some_and(|rest| rest.is_empty() || whole.ends_with('/') || rest.starts_with('/'))
}
