//! Which kinds of resources are known, and what becomes of each.

use crate::fuseboard::{CircuitBreaker, DestinationPolicy, Fallback};
use crate::istio::{DestinationRule, ServiceEntry};
use crate::kubernetes::{EndpointSlice, Endpoints, Pod, Secret, Service};
use crate::schema::Schema;

/// A kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `networking.istio.io` `DestinationRule`
    DestinationRule,
    /// `networking.istio.io` `ServiceEntry`
    ServiceEntry,
    /// `v1` `Service`
    Service,
    /// `v1` `Endpoints`
    Endpoints,
    /// `discovery.k8s.io` `EndpointSlice`
    EndpointSlice,
    /// `v1` `Pod`
    Pod,
    /// `v1` `Secret`
    Secret,
    /// `fuseboard.dev` `DestinationPolicy`
    DestinationPolicy,
    /// `fuseboard.dev` `CircuitBreaker`
    CircuitBreaker,
    /// `fuseboard.dev` `Fallback`
    Fallback,
}

/// Where the fields of a kind stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Under `spec`.
    Spec,
    /// Beside `metadata`.
    Inline,
}

/// What becomes of a known kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Read.
    Read(Kind),
    /// About traffic, but not acted upon yet: a warning, whose text says what happens instead.
    NotActedUpon(&'static str),
    /// Not about traffic between services (workloads, their settings): left alone.
    Foreign,
}

/// A known kind.
#[derive(Clone, Copy, Debug)]
pub struct KnownKind {
    /// Name.
    pub name: &'static str,
    /// API group; empty for Kubernetes' core.
    pub group: &'static str,
    /// Versions; empty where any will do.
    pub versions: &'static [&'static str],
    /// What becomes of it.
    pub treatment: Treatment,
}

const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];
const NETWORKING: &str = "networking.istio.io";
const FUSEBOARD: &str = "fuseboard.dev";

/// All known kinds.
pub const KINDS: &[KnownKind] = &[
    read(Kind::DestinationRule, "DestinationRule", NETWORKING, ISTIO),
    read(Kind::ServiceEntry, "ServiceEntry", NETWORKING, ISTIO),
    read(Kind::Service, "Service", "", &["v1"]),
    read(Kind::Endpoints, "Endpoints", "", &["v1"]),
    read(Kind::EndpointSlice, "EndpointSlice", "discovery.k8s.io", &["v1"]),
    read(Kind::Pod, "Pod", "", &["v1"]),
    read(Kind::Secret, "Secret", "", &["v1"]),
    read(Kind::DestinationPolicy, "DestinationPolicy", FUSEBOARD, &["v1alpha1"]),
    read(Kind::CircuitBreaker, "CircuitBreaker", FUSEBOARD, &["v1alpha1"]),
    read(Kind::Fallback, "Fallback", FUSEBOARD, &["v1alpha1"]),
    later("VirtualService", NETWORKING, "requests go to the service that their host names"),
    later("Gateway", NETWORKING, "no gateway is opened"),
    later("Sidecar", NETWORKING, "all services and rules are visible"),
    later("WorkloadEntry", NETWORKING, "only the addresses under a ServiceEntry's endpoints are used"),
    later("WorkloadGroup", NETWORKING, "only the addresses under a ServiceEntry's endpoints are used"),
    later("EnvoyFilter", NETWORKING, "there is no Envoy to patch"),
    later("ProxyConfig", NETWORKING, "settings are those of the command line"),
    later("PeerAuthentication", "security.istio.io", "no connection is encrypted or refused because of it"),
    later("RequestAuthentication", "security.istio.io", "no token is checked"),
    later("AuthorizationPolicy", "security.istio.io", "no request is refused because of it"),
    later("Telemetry", "telemetry.istio.io", "settings are those of the command line"),
    later("WasmPlugin", "extensions.istio.io", "no plug-in is run"),
    later("Gateway", "gateway.networking.k8s.io", "no gateway is opened"),
    later("GatewayClass", "gateway.networking.k8s.io", "no gateway is opened"),
    later("HTTPRoute", "gateway.networking.k8s.io", "requests go to the service that their host names"),
    later("GRPCRoute", "gateway.networking.k8s.io", "requests go to the service that their host names"),
    later("TCPRoute", "gateway.networking.k8s.io", "requests go to the service that their host names"),
    later("TLSRoute", "gateway.networking.k8s.io", "requests go to the service that their host names"),
    later("BackendTLSPolicy", "gateway.networking.k8s.io", "no connection is encrypted because of it"),
    later("ReferenceGrant", "gateway.networking.k8s.io", "nothing asks for it"),
    later("Ingress", "networking.k8s.io", "no gateway is opened"),
    later("NetworkPolicy", "networking.k8s.io", "no connection is refused because of it"),
    foreign("Namespace", ""),
    foreign("ConfigMap", ""),
    foreign("ServiceAccount", ""),
    foreign("PersistentVolume", ""),
    foreign("PersistentVolumeClaim", ""),
    foreign("ReplicationController", ""),
    foreign("LimitRange", ""),
    foreign("ResourceQuota", ""),
    foreign("Node", ""),
    foreign("Event", ""),
    foreign("Deployment", "apps"),
    foreign("StatefulSet", "apps"),
    foreign("DaemonSet", "apps"),
    foreign("ReplicaSet", "apps"),
    foreign("Job", "batch"),
    foreign("CronJob", "batch"),
    foreign("HorizontalPodAutoscaler", "autoscaling"),
    foreign("PodDisruptionBudget", "policy"),
    foreign("Role", "rbac.authorization.k8s.io"),
    foreign("RoleBinding", "rbac.authorization.k8s.io"),
    foreign("ClusterRole", "rbac.authorization.k8s.io"),
    foreign("ClusterRoleBinding", "rbac.authorization.k8s.io"),
    foreign("CustomResourceDefinition", "apiextensions.k8s.io"),
    foreign("MutatingWebhookConfiguration", "admissionregistration.k8s.io"),
    foreign("ValidatingWebhookConfiguration", "admissionregistration.k8s.io"),
    foreign("StorageClass", "storage.k8s.io"),
    foreign("PriorityClass", "scheduling.k8s.io"),
    foreign("Lease", "coordination.k8s.io"),
    foreign("Kustomization", "kustomize.config.k8s.io"),
];

impl Kind {
    /// All kinds that are read.
    pub const ALL: [Self; 10] = [
        Self::DestinationRule,
        Self::ServiceEntry,
        Self::Service,
        Self::Endpoints,
        Self::EndpointSlice,
        Self::Pod,
        Self::Secret,
        Self::DestinationPolicy,
        Self::CircuitBreaker,
        Self::Fallback,
    ];

    /// Where its fields stand.
    pub const fn envelope(self) -> Envelope {
        match self {
            Self::DestinationRule
            | Self::ServiceEntry
            | Self::Service
            | Self::DestinationPolicy
            | Self::CircuitBreaker
            | Self::Fallback => Envelope::Spec,
            Self::Endpoints | Self::EndpointSlice | Self::Pod | Self::Secret => Envelope::Inline,
        }
    }

    /// Its fields.
    pub const fn schema(self) -> &'static Schema {
        match self {
            Self::DestinationRule => DestinationRule::SCHEMA,
            Self::ServiceEntry => ServiceEntry::SCHEMA,
            Self::Service => Service::SCHEMA,
            Self::Endpoints => Endpoints::SCHEMA,
            Self::EndpointSlice => EndpointSlice::SCHEMA,
            Self::Pod => Pod::SCHEMA,
            Self::Secret => Secret::SCHEMA,
            Self::DestinationPolicy => DestinationPolicy::SCHEMA,
            Self::CircuitBreaker => CircuitBreaker::SCHEMA,
            Self::Fallback => Fallback::SCHEMA,
        }
    }
}

const fn read(
    kind: Kind,
    name: &'static str,
    group: &'static str,
    versions: &'static [&'static str],
) -> KnownKind {
    KnownKind { name, group, versions, treatment: Treatment::Read(kind) }
}

const fn later(name: &'static str, group: &'static str, instead: &'static str) -> KnownKind {
    KnownKind { name, group, versions: &[], treatment: Treatment::NotActedUpon(instead) }
}

const fn foreign(name: &'static str, group: &'static str) -> KnownKind {
    KnownKind { name, group, versions: &[], treatment: Treatment::Foreign }
}
