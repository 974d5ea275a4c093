//! Whom the proxy works for. Decides nothing itself: which rules a proxy sees, and which short names it may use, follow
//! from these facts (see [`crate::resolve`]).

use std::collections::BTreeMap;
use std::sync::Arc;

/// The client side of a proxy, as Istio knows it from the pod; stand-alone, from flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Namespace of the client. Its rules are looked at first, and its services may be called by their short name.
    /// Default `default`.
    pub namespace: Arc<str>,
    /// Labels of the client, for rules with a `workloadSelector`. Default: none.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What follows `.svc.` in the full name of a Kubernetes service. Default `cluster.local`.
    pub domain_suffix: Arc<str>,
    /// Namespace whose rules are looked at last. Default `istio-system`, as Istio's `rootNamespace`.
    pub root_namespace: Arc<str>,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            namespace: "default".into(),
            labels: BTreeMap::new(),
            domain_suffix: "cluster.local".into(),
            root_namespace: "istio-system".into(),
        }
    }
}
