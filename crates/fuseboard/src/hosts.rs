//! Names of services, where a command asks for one: what may have been meant by one that does not exist.

/// The known name nearest to `word`: of a cluster, of its host, or a short form of the host.
pub(crate) fn nearest(word: &str, clusters: &[&str]) -> Option<String> {
    let mut known: Vec<&str> = Vec::new();
    for cluster in clusters {
        let host = host_of(cluster);
        let service = host.split_once(".svc.").map_or(host, |(service, _)| service);
        let short = service.split('.').next().unwrap_or(service);
        known.extend([short, service, host, *cluster]);
    }
    fuseboard_config::nearest(word, known.into_iter().filter(|name| !name.is_empty())).map(str::to_owned)
}

/// `httpbin.default.svc.cluster.local` of `outbound|8000||httpbin.default.svc.cluster.local`; other names are their own.
fn host_of(cluster: &str) -> &str {
    cluster.splitn(4, '|').nth(3).unwrap_or(cluster)
}

/// `; did you mean httpbin?`, or that no name is near and which there are.
pub(crate) fn hint(word: &str, clusters: &[&str]) -> String {
    match nearest(word, clusters) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if clusters.is_empty() => "there are no clusters".to_owned(),
        None => format!("there is {}", listed(clusters)),
    }
}

/// Some of the hosts, each once.
fn listed(clusters: &[&str]) -> String {
    const SHOWN: usize = 5;
    let mut hosts: Vec<&str> = clusters.iter().map(|cluster| host_of(cluster)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let more = if hosts.len() > SHOWN { ", …" } else { "" };
    hosts.truncate(SHOWN);
    format!("{}{more}", hosts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTERS: [&str; 2] =
        ["outbound|8000||httpbin.default.svc.cluster.local", "outbound|443||api.example.com"];

    #[test]
    fn a_short_name_a_full_one_and_a_cluster_are_recognised() {
        assert_eq!(nearest("htpbin", &CLUSTERS).as_deref(), Some("httpbin"));
        assert_eq!(nearest("httpbin.defualt", &CLUSTERS).as_deref(), Some("httpbin.default"));
        assert_eq!(nearest("api.exmple.com", &CLUSTERS).as_deref(), Some("api.example.com"));
        assert_eq!(nearest("outbound|443||api.example.co", &CLUSTERS).as_deref(), Some(CLUSTERS[1]));
    }

    #[test]
    fn where_nothing_is_near_the_names_are_listed() {
        let said = hint("reviews", &CLUSTERS);
        assert_eq!(said, "there is api.example.com, httpbin.default.svc.cluster.local");
        assert_eq!(hint("x", &[]), "there are no clusters");
    }
}
