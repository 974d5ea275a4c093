//! Which listening addresses are for one port alone, and what each takes. Those that many services share are not told: `Host` says
//! there which one is meant.

use fuseboard_snapshot::{Domain, Listener, ListenerTarget, RouteConfig, Snapshot};

use super::word;

/// A sentence for each address of the cluster with this index.
pub(super) fn sentences(snapshot: &Snapshot, cluster: usize) -> Vec<String> {
    let sentence = |listener: &Listener| {
        let takes = match listener.target {
            ListenerTarget::Tcp(tcp) => (tcp.cluster == cluster).then(|| "TCP".to_owned()),
            ListenerTarget::Detect(detect) => (detect.tcp.cluster == cluster).then(|| {
                format!(
                    "HTTP or TCP, as each connection begins; what is not clear after {} is TCP",
                    word::time(detect.patience)
                )
            }),
            ListenerTarget::Routes(table) => {
                let table = snapshot.routes.get(table)?;
                leads_only_to(table, cluster).then(|| "HTTP, whatever Host says".to_owned())
            }
        };
        takes.map(|takes| format!("{} is for this port alone. It takes {takes}.", listener.address))
    };
    snapshot.listeners.iter().filter_map(sentence).collect()
}

fn leads_only_to(table: &RouteConfig, cluster: usize) -> bool {
    let hosts = &table.virtual_hosts;
    hosts.iter().any(|host| host.domains.contains(&Domain::Any) && host.route.cluster == cluster)
}
