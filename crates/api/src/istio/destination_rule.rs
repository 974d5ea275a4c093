//! `DestinationRule` (`networking.istio.io/v1`, `v1beta1`, `v1alpha3`; one schema): policies for the traffic to a host.
//!
//! Source of the fields: Istio's `DestinationRule` reference page.

use std::time::Duration;

use crate::istio::WorkloadSelector;
use crate::istio::locality::{LocalityLbSetting, ZoneAwareLbSetting};
use crate::istio::tls::ClientTls;
use crate::schema::{choice, object};
use crate::span::{List, Map};

object! {
    /// What is written under `spec`.
    pub struct DestinationRule {
        /// The service, as clients name it; a name without dots belongs to the rule's namespace.
        host: required String = "host", Supported;
        /// Policy for all ports and subsets that have none of their own.
        traffic_policy: optional TrafficPolicy = "trafficPolicy", Supported;
        /// Named groups of the service's endpoints.
        subsets: optional List<Subset> = "subsets", Supported;
        /// Namespaces that see the rule: `.`, `*` or names.
        export_to: optional List<String> = "exportTo", Supported;
        /// Client workloads that the rule is for.
        workload_selector: optional WorkloadSelector = "workloadSelector", Supported;
    }
}

object! {
    /// Policy for the traffic to one host.
    pub struct TrafficPolicy {
        /// Choice of endpoint.
        load_balancer: optional LoadBalancer = "loadBalancer", Supported;
        /// Limits.
        connection_pool: optional ConnectionPool = "connectionPool", Supported;
        /// Ejection of failing endpoints.
        outlier_detection: optional OutlierDetection = "outlierDetection", Supported;
        /// TLS towards the host.
        tls: optional ClientTls = "tls", Supported;
        /// Policies of single service ports; each replaces the whole policy for its port.
        port_level_settings: optional List<PortTrafficPolicy> = "portLevelSettings", Supported;
        /// TCP tunnelled over HTTP CONNECT or POST.
        tunnel: optional Tunnel = "tunnel", NotActedUpon("connections are made directly");
        /// PROXY protocol towards the host, on TCP connections.
        proxy_protocol: optional ProxyProtocol = "proxyProtocol", Supported;
        /// Retries as a share of active requests.
        retry_budget: optional RetryBudget = "retryBudget", NotActedUpon("connectionPool.http.maxRetries bounds retries");
    }
}

object! {
    /// Policy of one service port.
    pub struct PortTrafficPolicy {
        /// The port of the service (not of the pod).
        port: optional PortSelector = "port", Supported;
        /// Choice of endpoint.
        load_balancer: optional LoadBalancer = "loadBalancer", Supported;
        /// Limits.
        connection_pool: optional ConnectionPool = "connectionPool", Supported;
        /// Ejection of failing endpoints.
        outlier_detection: optional OutlierDetection = "outlierDetection", Supported;
        /// TLS towards the port.
        tls: optional ClientTls = "tls", Supported;
    }
}

object! {
    /// A port by number.
    pub struct PortSelector {
        /// Number of the service port.
        number: optional u32 = "number", Supported;
    }
}

object! {
    /// A named group of endpoints.
    pub struct Subset {
        /// Name, a DNS label.
        name: required String = "name", Supported;
        /// Labels of the endpoints; none: all endpoints.
        labels: optional Map<String> = "labels", Supported;
        /// Policy of the group; each block replaces the rule's whole block.
        traffic_policy: optional TrafficPolicy = "trafficPolicy", Supported;
    }
}

object! {
    /// Limits.
    pub struct ConnectionPool {
        /// Limits of connections.
        tcp: optional TcpSettings = "tcp", Supported;
        /// Limits of requests.
        http: optional HttpSettings = "http", Supported;
    }
}

object! {
    /// Limits of connections.
    pub struct TcpSettings {
        /// Most connections to the host, over all endpoints; 0 or absent: no limit.
        max_connections: optional i32 = "maxConnections", Supported;
        /// Longest TCP connect; default 10s.
        connect_timeout: optional Duration = "connectTimeout", Supported;
        /// Keep-alive probes; present but empty turns them on with the system's values.
        tcp_keepalive: optional TcpKeepalive = "tcpKeepalive", Supported;
        /// Age after which a connection is closed as soon as it is idle.
        max_connection_duration: optional Duration = "maxConnectionDuration", Supported;
        /// Time without use after which a connection is closed; default 1h, 0s: never.
        idle_timeout: optional Duration = "idleTimeout", Supported;
    }
}

object! {
    /// TCP keep-alive.
    pub struct TcpKeepalive {
        /// Unanswered probes before the connection counts as dead.
        probes: optional u32 = "probes", Supported;
        /// Idle time before the first probe; whole seconds.
        time: optional Duration = "time", Supported;
        /// Time between probes; whole seconds.
        interval: optional Duration = "interval", Supported;
    }
}

object! {
    /// Limits of requests.
    pub struct HttpSettings {
        /// Most requests that wait for a connection; 0 or absent: no limit.
        http1_max_pending_requests: optional i32 = "http1MaxPendingRequests", Supported;
        /// Most requests under way, of HTTP/1.1 too; 0 or absent: no limit.
        http2_max_requests: optional i32 = "http2MaxRequests", Supported;
        /// Requests after which a connection is closed; 0 or absent: no limit; 1 turns keep-alive off.
        max_requests_per_connection: optional i32 = "maxRequestsPerConnection", Supported;
        /// Most retries under way; 0 or absent: no limit.
        max_retries: optional i32 = "maxRetries", Supported;
        /// Time without a request after which a connection is closed; default 1h.
        idle_timeout: optional Duration = "idleTimeout", Supported;
        /// `UPGRADE`: HTTP/2 is spoken to a port that declares HTTP/1.1.
        h2_upgrade_policy: optional H2UpgradePolicy = "h2UpgradePolicy", Supported;
        /// HTTP/2 or HTTP/1.1 is spoken to the host, whichever the client speaks.
        use_client_protocol: optional bool = "useClientProtocol", Supported;
        /// Most requests at a time on one HTTP/2 connection; 0 or absent: 1024, or less if the host says so.
        max_concurrent_streams: optional i32 = "maxConcurrentStreams", Supported;
        /// PING frames on HTTP/2 connections; absent: none.
        http2_keep_alive: optional Http2KeepAlive = "http2KeepAlive", Supported;
    }
}

choice! {
    /// Upgrade to HTTP/2.
    pub enum H2UpgradePolicy {
        /// The mesh's default, which is not to.
        Default = "DEFAULT", Supported;
        /// No.
        DoNotUpgrade = "DO_NOT_UPGRADE", Supported;
        /// Yes.
        Upgrade = "UPGRADE", Supported;
    }
}

object! {
    /// HTTP/2 PING as keep-alive.
    pub struct Http2KeepAlive {
        /// Time between pings.
        interval: optional Duration = "interval", Supported;
        /// Longest wait for the answer.
        timeout: optional Duration = "timeout", Supported;
    }
}

object! {
    /// Ejection of failing endpoints.
    pub struct OutlierDetection {
        /// The old spelling: gateway errors and connection failures in a row.
        consecutive_errors: optional i32 = "consecutiveErrors", Supported;
        /// 5xx in a row that eject; default 5, 0: off.
        consecutive_5xx_errors: optional u32 = "consecutive5xxErrors", Supported;
        /// 502, 503, 504 in a row that eject; absent or 0: off.
        consecutive_gateway_errors: optional u32 = "consecutiveGatewayErrors", Supported;
        /// Count failures of the connection apart from answers.
        split_external_local_origin_errors: optional bool = "splitExternalLocalOriginErrors", Supported;
        /// Connection failures in a row that eject, when they are counted apart; default 5.
        consecutive_local_origin_failures: optional u32 = "consecutiveLocalOriginFailures", Supported;
        /// Time between sweeps, which end ejections; default 10s.
        interval: optional Duration = "interval", Supported;
        /// Length of the first ejection; default 30s.
        base_ejection_time: optional Duration = "baseEjectionTime", Supported;
        /// Largest share of endpoints ejected at a time, in percent; default 10.
        max_ejection_percent: optional i32 = "maxEjectionPercent", Supported;
        /// Share of healthy endpoints below which all are used, in percent; default 0.
        min_health_percent: optional i32 = "minHealthPercent", Supported;
        /// Status codes that count as failures, in place of the 5xx; no other answer does then.
        http_error_codes: optional List<u32> = "outlierDetectionHttpErrorCodes", Supported;
    }
}

object! {
    /// Choice of endpoint.
    pub struct LoadBalancer {
        /// A balancer without memory of clients.
        simple: optional SimpleLb = "simple", Supported;
        /// The same client (header, cookie, address) to the same endpoint.
        consistent_hash: optional ConsistentHash = "consistentHash", NotActedUpon("LEAST_REQUEST is used");
        /// Gradual traffic for new endpoints.
        warmup: optional Warmup = "warmup", NotActedUpon("new endpoints get their full share at once");
        /// The old spelling of `warmup.duration`.
        warmup_duration_secs: optional Duration = "warmupDurationSecs",
            NotActedUpon("new endpoints get their full share at once");
        /// Preference by region, zone and sub-zone.
        locality_lb_setting: optional LocalityLbSetting = "localityLbSetting",
            NotActedUpon("endpoints of all localities are used alike");
        /// Preference by zone.
        zone_aware_lb_setting: optional ZoneAwareLbSetting = "zoneAwareLbSetting",
            NotActedUpon("endpoints of all zones are used alike");
    }
}

choice! {
    /// Balancers without memory of clients.
    pub enum SimpleLb {
        /// Istio's default, `LEAST_REQUEST`.
        Unspecified = "UNSPECIFIED", Supported;
        /// Of two endpoints at random the one with fewer requests.
        LeastRequest = "LEAST_REQUEST", Supported;
        /// The old spelling of `LEAST_REQUEST`.
        LeastConn = "LEAST_CONN", Supported;
        /// In turn.
        RoundRobin = "ROUND_ROBIN", Supported;
        /// At random.
        Random = "RANDOM", Supported;
        /// To the address that the client asked for.
        Passthrough = "PASSTHROUGH", NotActedUpon("LEAST_REQUEST is used");
    }
}

object! {
    /// The same client to the same endpoint.
    pub struct ConsistentHash {
        /// By a request header.
        http_header_name: optional String = "httpHeaderName", Supported;
        /// By a cookie.
        http_cookie: optional HttpCookie = "httpCookie", Supported;
        /// By the client's address.
        use_source_ip: optional bool = "useSourceIp", Supported;
        /// By a query parameter.
        http_query_parameter_name: optional String = "httpQueryParameterName", Supported;
        /// Ring hash.
        ring_hash: optional RingHash = "ringHash", Supported;
        /// Maglev.
        maglev: optional Maglev = "maglev", Supported;
        /// The old spelling of `ringHash.minimumRingSize`.
        minimum_ring_size: optional u32 = "minimumRingSize", Supported;
    }
}

object! {
    /// A cookie to hash.
    pub struct HttpCookie {
        /// Its name.
        name: required String = "name", Supported;
        /// Its path.
        path: optional String = "path", Supported;
        /// Its life; absent: it is never made by the proxy.
        ttl: optional Duration = "ttl", Supported;
        /// Further attributes.
        attributes: optional List<CookieAttribute> = "attributes", Supported;
    }
}

object! {
    /// A further attribute of a cookie.
    pub struct CookieAttribute {
        /// Its name.
        name: required String = "name", Supported;
        /// Its value.
        value: optional String = "value", Supported;
    }
}

object! {
    /// Ring hash.
    pub struct RingHash {
        /// Smallest number of points on the ring.
        minimum_ring_size: optional u32 = "minimumRingSize", Supported;
    }
}

object! {
    /// Maglev.
    pub struct Maglev {
        /// Size of the table, a prime number.
        table_size: optional u32 = "tableSize", Supported;
    }
}

object! {
    /// Gradual traffic for new endpoints.
    pub struct Warmup {
        /// Time until the full share.
        duration: required Duration = "duration", Supported;
        /// Share at the beginning, in percent.
        minimum_percent: optional f64 = "minimumPercent", Supported;
        /// Shape of the curve.
        aggression: optional f64 = "aggression", Supported;
    }
}

object! {
    /// TCP tunnelled over HTTP.
    pub struct Tunnel {
        /// `CONNECT` or `POST`.
        protocol: optional String = "protocol", Supported;
        /// Host to ask the tunnel for.
        target_host: required String = "targetHost", Supported;
        /// Port to ask the tunnel for.
        target_port: required u32 = "targetPort", Supported;
    }
}

object! {
    /// PROXY protocol.
    pub struct ProxyProtocol {
        /// Version of the header.
        version: optional ProxyProtocolVersion = "version", Supported;
    }
}

choice! {
    /// Version of the PROXY header.
    pub enum ProxyProtocolVersion {
        /// Text.
        V1 = "V1", Supported;
        /// Binary.
        V2 = "V2", Supported;
    }
}

object! {
    /// Retries as a share of active requests.
    pub struct RetryBudget {
        /// The share, in percent; default 20.
        percent: optional f64 = "percent", Supported;
        /// Retries allowed whatever the share; default 3.
        min_retry_concurrency: optional u32 = "minRetryConcurrency", Supported;
        /// Time over which requests are counted.
        budget_interval: optional Duration = "budgetInterval", Supported;
    }
}
