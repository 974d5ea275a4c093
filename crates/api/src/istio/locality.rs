//! Preference of near endpoints, as a `DestinationRule` has it.

use crate::schema::object;
use crate::span::{List, Map};

object! {
    /// Preference by region, zone and sub-zone.
    pub struct LocalityLbSetting {
        /// Shares of the traffic by where it comes from.
        distribute: optional List<Distribute> = "distribute", Supported;
        /// Region to use when the own one fails.
        failover: optional List<Failover> = "failover", Supported;
        /// Labels by which endpoints are ordered.
        failover_priority: optional List<String> = "failoverPriority", Supported;
        /// Whether it is on.
        enabled: optional bool = "enabled", Supported;
    }
}

object! {
    /// Preference by zone.
    pub struct ZoneAwareLbSetting {
        /// Region to use when the own one fails.
        failover: optional List<Failover> = "failover", Supported;
        /// Labels by which endpoints are ordered.
        failover_priority: optional List<String> = "failoverPriority", Supported;
        /// Whether it is on.
        enabled: optional bool = "enabled", Supported;
        /// Fewest endpoints for which zones count; default 6.
        min_cluster_size: optional u32 = "minClusterSize", Supported;
    }
}

object! {
    /// Shares of the traffic by where it comes from.
    pub struct Distribute {
        /// Where it comes from.
        from: optional String = "from", Supported;
        /// Shares in percent by locality.
        to: optional Map<u32> = "to", Supported;
    }
}

object! {
    /// Region to use when the own one fails.
    pub struct Failover {
        /// The own region.
        from: optional String = "from", Supported;
        /// The other one.
        to: optional String = "to", Supported;
    }
}
