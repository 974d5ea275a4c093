//! `EndpointSlice` (`discovery.k8s.io/v1`): some addresses of the service named by its label.

use crate::kubernetes::endpoints::{EndpointPort, TargetRef};
use crate::schema::{choice, object};
use crate::span::{List, Map};
use crate::tree::Node;

/// Label of a slice that names its service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

object! {
    /// The resource; it has no `spec`.
    pub struct EndpointSlice {
        /// What the addresses are.
        address_type: required AddressType = "addressType", Supported;
        /// Addresses.
        endpoints: optional List<SliceEndpoint> = "endpoints", Supported;
        /// Ports of each address.
        ports: optional List<EndpointPort> = "ports", Supported;
    }
}

choice! {
    /// What the addresses of a slice are.
    pub enum AddressType {
        /// IPv4 addresses.
        Ipv4 = "IPv4", Supported;
        /// IPv6 addresses.
        Ipv6 = "IPv6", Supported;
        /// Names.
        Fqdn = "FQDN", NotActedUpon("names are not looked up; these endpoints are left out");
    }
}

object! {
    /// One endpoint.
    pub struct SliceEndpoint {
        /// Its address; of several, the first is used.
        addresses: required List<String> = "addresses", Supported;
        /// Its state.
        conditions: optional EndpointConditions = "conditions", Supported;
        /// Name of the host.
        hostname: optional String = "hostname", Supported;
        /// The pod.
        target_ref: optional TargetRef = "targetRef", Supported;
        /// Zone it runs in.
        zone: optional String = "zone", Supported;
        /// Node it runs on.
        node_name: optional String = "nodeName", Supported;
        /// Zones it should serve.
        hints: optional Node = "hints", NotActedUpon("endpoints of all zones are used alike");
        /// The old place of zone and node.
        deprecated_topology: optional Map<String> = "deprecatedTopology", Ignored;
    }
}

object! {
    /// State of an endpoint.
    pub struct EndpointConditions {
        /// Ready; absent: yes.
        ready: optional bool = "ready", Supported;
        /// Serving, also while it terminates.
        serving: optional bool = "serving", Supported;
        /// On its way out.
        terminating: optional bool = "terminating", Supported;
    }
}
