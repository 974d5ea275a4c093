//! `Endpoints` (`v1`): addresses of the service of the same name. The older form of `EndpointSlice`.

use crate::schema::object;
use crate::span::List;
use crate::tree::Node;

object! {
    /// The resource; it has no `spec`.
    pub struct Endpoints {
        /// Groups of addresses with the same ports.
        subsets: optional List<EndpointSubset> = "subsets", Supported;
    }
}

object! {
    /// Addresses with the same ports.
    pub struct EndpointSubset {
        /// Ready.
        addresses: optional List<EndpointAddress> = "addresses", Supported;
        /// Not ready.
        not_ready_addresses: optional List<EndpointAddress> = "notReadyAddresses", Supported;
        /// Ports.
        ports: optional List<EndpointPort> = "ports", Supported;
    }
}

object! {
    /// One address.
    pub struct EndpointAddress {
        /// IP address.
        ip: required String = "ip", Supported;
        /// Name of the host.
        hostname: optional String = "hostname", Supported;
        /// Node it runs on.
        node_name: optional String = "nodeName", Supported;
        /// The pod.
        target_ref: optional TargetRef = "targetRef", Supported;
    }
}

object! {
    /// The pod behind an address.
    pub struct TargetRef {
        /// `Pod`.
        kind: optional String = "kind", Supported;
        /// Its name.
        name: optional String = "name", Supported;
        /// Its namespace.
        namespace: optional String = "namespace", Supported;
        /// Its identity: a new pod on an old address is a new host.
        uid: optional String = "uid", Supported;
        /// Version of its schema.
        api_version: optional String = "apiVersion", Ignored;
        /// Version of the object.
        resource_version: optional String = "resourceVersion", Ignored;
        /// Part of the object.
        field_path: optional Node = "fieldPath", Ignored;
    }
}

object! {
    /// A port of the addresses.
    pub struct EndpointPort {
        /// Name of the service port it belongs to.
        name: optional String = "name", Supported;
        /// Number.
        port: optional u32 = "port", Supported;
        /// `TCP`, `UDP` or `SCTP`.
        protocol: optional String = "protocol", Supported;
        /// Protocol above it.
        app_protocol: optional String = "appProtocol", Supported;
    }
}
