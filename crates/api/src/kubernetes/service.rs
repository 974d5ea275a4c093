//! `Service` (`v1`): a name, its ports, and which pods are behind it.

use crate::scalar::IntOrText;
use crate::schema::{choice, object};
use crate::span::{List, Map};
use crate::tree::Node;

object! {
    /// What is written under `spec`.
    pub struct Service {
        /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
        kind: optional String = "type", Supported;
        /// Ports.
        ports: optional List<ServicePort> = "ports", Supported;
        /// Labels of its pods; endpoints come from `Endpoints` and `EndpointSlice` resources.
        selector: optional Map<String> = "selector", Supported;
        /// Virtual address, `None` for headless services.
        cluster_ip: optional String = "clusterIP", Supported;
        /// Virtual addresses.
        cluster_ips: optional List<String> = "clusterIPs", Supported;
        /// Name that an `ExternalName` service stands for.
        external_name: optional String = "externalName", NotActedUpon("the service has no addresses");
        /// Endpoints that are not ready count as ready.
        publish_not_ready_addresses: optional bool = "publishNotReadyAddresses", Supported;
        /// The same client address to the same pod.
        session_affinity: optional SessionAffinity = "sessionAffinity", Supported;
        /// Settings of `sessionAffinity`.
        session_affinity_config: optional Node = "sessionAffinityConfig", Ignored;
        /// Preference of near endpoints.
        traffic_distribution: optional String = "trafficDistribution",
            NotActedUpon("endpoints of all zones are used alike");
        /// Preference of endpoints on the own node.
        internal_traffic_policy: optional InternalTrafficPolicy = "internalTrafficPolicy", Supported;
        /// Preference of endpoints on the node that traffic enters by.
        external_traffic_policy: optional String = "externalTrafficPolicy", Ignored;
        /// Families of the virtual addresses.
        ip_families: optional Node = "ipFamilies", Ignored;
        /// How many families.
        ip_family_policy: optional String = "ipFamilyPolicy", Ignored;
        /// Addresses outside the cluster that lead here.
        external_ips: optional Node = "externalIPs", Ignored;
        /// Address of the load balancer.
        load_balancer_ip: optional String = "loadBalancerIP", Ignored;
        /// Who may use the load balancer.
        load_balancer_source_ranges: optional Node = "loadBalancerSourceRanges", Ignored;
        /// Which load balancer.
        load_balancer_class: optional String = "loadBalancerClass", Ignored;
        /// Whether the load balancer uses node ports.
        allocate_load_balancer_node_ports: optional bool = "allocateLoadBalancerNodePorts", Ignored;
        /// Port for the health check of the load balancer.
        health_check_node_port: optional u32 = "healthCheckNodePort", Ignored;
    }
}

object! {
    /// A port of a service.
    pub struct ServicePort {
        /// Name; may be absent if there is only one port. Its prefix names the protocol (`http-web`).
        name: optional String = "name", Supported;
        /// Number.
        port: required u32 = "port", Supported;
        /// Port of the pods, by number or name; absent: the same number.
        target_port: optional IntOrText = "targetPort", Supported;
        /// `TCP`, `UDP` or `SCTP`.
        protocol: optional String = "protocol", Supported;
        /// Protocol above it.
        app_protocol: optional String = "appProtocol", Supported;
        /// Port on the nodes.
        node_port: optional u32 = "nodePort", Ignored;
    }
}

choice! {
    /// The same client address to the same pod.
    pub enum SessionAffinity {
        /// No.
        None = "None", Supported;
        /// Yes.
        ClientIp = "ClientIP", NotActedUpon("each request goes to any endpoint");
    }
}

choice! {
    /// Which endpoints serve traffic from inside the cluster.
    pub enum InternalTrafficPolicy {
        /// All.
        Cluster = "Cluster", Supported;
        /// Those on the own node.
        Local = "Local", NotActedUpon("endpoints of all nodes are used");
    }
}
