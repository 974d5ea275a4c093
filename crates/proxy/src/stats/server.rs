//! Scopes `server`, `cluster_manager` and `listener_manager`: the process as a whole, computed when read.

use fuseboard_stats::stats;

stats! {
    /// Envoy's server stats. Unlike Envoy's they are never older than the request that reads them.
    pub struct ServerStats in "server" {
        /// Seconds since start.
        uptime: Level,
        /// 1 while serving, 0 while draining.
        live: Level,
        /// 0 live, 1 draining, 3 initializing.
        state: Level,
        /// Workers.
        concurrency: Level,
        /// Downstream connections open now.
        total_connections: Level,
        /// Resident memory of our own, heap and stacks, in bytes; 0 where the system does not tell.
        memory_heap_size: Level,
        /// Resident memory in bytes, the program's code included; 0 where the system does not tell.
        memory_physical_size: Level,
        /// Version as a number: major * 1000000 + minor * 1000 + patch.
        version: Level,
    }
}

stats! {
    /// What Envoy does not count.
    pub struct OwnServerStats in "server.fuseboard" {
        /// Version of the snapshot that runs.
        snapshot_version: Level,
        /// Connections of clients that may be open at a time, at all listeners together.
        max_connections: Level,
        /// 1 while what was read last is not all in force, because of errors in it; what it leaves out runs as it did before.
        rules_held_back: Level,
    }
}

stats! {
    /// The set of clusters.
    pub struct ClusterManagerStats in "cluster_manager" {
        /// Clusters that serve now.
        active_clusters: Level,
    }
}

stats! {
    /// The set of listeners.
    pub struct ListenerManagerStats in "listener_manager" {
        /// Listeners that accept now.
        total_listeners_active: Level,
        /// 1 once every worker runs.
        workers_started: Level,
    }
}
