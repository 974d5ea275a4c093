//! Which pod is behind an address: by the name that the endpoint gives, else by the address, as in istiod.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fuseboard_api::Spanned;
use fuseboard_api::kubernetes::Pod;
use fuseboard_api::kubernetes::endpoints::TargetRef;

use super::labels::Labels;
use crate::set::Resource;

/// What is known of the pod behind an address.
#[derive(Clone, Debug)]
pub(super) struct KnownPod<'a> {
    /// Its namespace.
    pub(super) namespace: &'a str,
    /// Its name; empty where only the UID is known.
    pub(super) name: &'a str,
    /// Its UID; empty where unknown.
    pub(super) uid: &'a str,
    /// Its labels; `None`: the pod is not among the resources.
    pub(super) labels: Option<Labels<'a>>,
}

/// All pods of the resources.
#[derive(Default)]
pub(super) struct Pods<'a> {
    by_name: BTreeMap<(&'a str, &'a str), &'a Resource<Pod>>,
    by_address: BTreeMap<IpAddr, &'a Resource<Pod>>,
}

impl<'a> Pods<'a> {
    /// All of `pods`.
    pub(super) fn new(pods: &'a [Resource<Pod>]) -> Self {
        let mut found = Self::default();
        for pod in pods {
            found.by_name.insert((&pod.id.namespace, &pod.id.name), pod);
            for address in pod.spec.addresses().filter_map(|address| address.parse().ok()) {
                found.by_address.entry(address).or_insert(pod);
            }
        }
        found
    }

    /// The pod behind `address` of an endpoint in `namespace`; `None`: nothing is known of it.
    pub(super) fn find(
        &self,
        namespace: &'a str,
        target: Option<&'a TargetRef>,
        address: IpAddr,
    ) -> Option<KnownPod<'a>> {
        let text = |field: Option<&'a Spanned<String>>| field.map(|field| field.value.as_str());
        let name = text(target.and_then(|target| target.name.as_ref()));
        let namespace = text(target.and_then(|target| target.namespace.as_ref())).unwrap_or(namespace);
        let resource = match name {
            Some(name) => self.by_name.get(&(namespace, name)),
            None => self.by_address.get(&address),
        };
        let uid = text(target.and_then(|target| target.uid.as_ref()));
        let (name, uid) = match resource {
            Some(pod) => (name.unwrap_or(&pod.id.name), uid.or(pod.uid.as_deref())),
            None => (name.unwrap_or(""), uid),
        };
        let known =
            KnownPod { namespace, name, uid: uid.unwrap_or(""), labels: resource.map(|pod| labels(pod)) };
        (!known.name.is_empty() || !known.uid.is_empty()).then_some(known)
    }
}

fn labels(pod: &Resource<Pod>) -> Labels<'_> {
    pod.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}
