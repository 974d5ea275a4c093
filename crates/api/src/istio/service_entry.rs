//! `ServiceEntry` (`networking.istio.io/v1`, `v1beta1`, `v1alpha3`): a service that Kubernetes does not know.

use crate::schema::{choice, object};
use crate::span::{List, Map};

object! {
    /// What is written under `spec`.
    pub struct ServiceEntry {
        /// Names of the service.
        hosts: required List<String> = "hosts", Supported;
        /// Virtual addresses of the service.
        addresses: optional List<String> = "addresses", NotActedUpon("requests are routed by their host name");
        /// Its ports.
        ports: optional List<ServiceEntryPort> = "ports", Supported;
        /// Inside or outside the mesh.
        location: optional ServiceLocation = "location", Supported;
        /// How its addresses are found.
        resolution: optional Resolution = "resolution", Supported;
        /// Its addresses.
        endpoints: optional List<WorkloadEntry> = "endpoints", Supported;
        /// Pods and workload entries behind it.
        workload_selector: optional LabelSelector = "workloadSelector",
            NotActedUpon("only the addresses under endpoints are used");
        /// Namespaces that see it: `.`, `*` or names.
        export_to: optional List<String> = "exportTo", Supported;
        /// Names that its certificate may carry.
        subject_alt_names: optional List<String> = "subjectAltNames", NotActedUpon("no certificate is checked");
    }
}

object! {
    /// A port of the service.
    pub struct ServiceEntryPort {
        /// Number.
        number: required u32 = "number", Supported;
        /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP`, `TLS`.
        protocol: optional String = "protocol", Supported;
        /// Name.
        name: required String = "name", Supported;
        /// Port of the endpoints; absent: the same number.
        target_port: optional u32 = "targetPort", Supported;
    }
}

object! {
    /// Pods and workload entries, chosen by label. (A `DestinationRule` calls the same thing `matchLabels`.)
    pub struct LabelSelector {
        /// Labels that they must have, all of them.
        labels: optional Map<String> = "labels", Supported;
    }
}

choice! {
    /// Inside or outside the mesh.
    pub enum ServiceLocation {
        /// Outside.
        MeshExternal = "MESH_EXTERNAL", Supported;
        /// Inside.
        MeshInternal = "MESH_INTERNAL", Supported;
    }
}

choice! {
    /// How addresses are found.
    pub enum Resolution {
        /// The address that the client asked for.
        None = "NONE", NotActedUpon("the service has the addresses under endpoints, or none");
        /// Those under `endpoints`.
        Static = "STATIC", Supported;
        /// All that DNS answers.
        Dns = "DNS", NotActedUpon("the service has the IP addresses under endpoints, or none");
        /// The first that DNS answers.
        DnsRoundRobin = "DNS_ROUND_ROBIN", NotActedUpon("the service has the IP addresses under endpoints, or none");
        /// What DNS answers for the name that the client asked for.
        DynamicDns = "DYNAMIC_DNS", NotActedUpon("the service has the IP addresses under endpoints, or none");
    }
}

object! {
    /// One address of the service.
    pub struct WorkloadEntry {
        /// IP address, or a name for the DNS kinds of resolution.
        address: optional String = "address", Supported;
        /// Port by name of the service port, where it differs.
        ports: optional Map<u32> = "ports", Supported;
        /// Labels, for subsets.
        labels: optional Map<String> = "labels", Supported;
        /// Network it is in.
        network: optional String = "network", NotActedUpon("all networks count as reachable");
        /// `region/zone/subzone`.
        locality: optional String = "locality", Supported;
        /// Share of the traffic; default 1.
        weight: optional u32 = "weight", Supported;
        /// Identity of the workload.
        service_account: optional String = "serviceAccount", NotActedUpon("no certificate is checked");
    }
}
