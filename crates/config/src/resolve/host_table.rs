//! Values by host pattern, looked up by service name: an exact host goes before any wildcard, and of the wildcards the
//! closest counts. Knows nothing of what it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::hostname;

/// Values by host; those of one host in the order in which they were added.
#[derive(Debug)]
pub(super) struct HostTable<T> {
    exact: BTreeMap<Arc<str>, Vec<T>>,
    /// Sorted, the closest first.
    wildcards: Vec<(Arc<str>, Vec<T>)>,
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        Self { exact: BTreeMap::new(), wildcards: Vec::new() }
    }
}

impl<T> HostTable<T> {
    /// The values of exactly this pattern.
    pub(super) fn entry(&mut self, host: &Arc<str>) -> &mut Vec<T> {
        if !hostname::is_wildcard(host) {
            return self.exact.entry(host.clone()).or_default();
        }
        let at = self.wildcards.binary_search_by(|(other, _)| hostname::closest_first(other, host));
        let at = match at {
            Ok(found) => found,
            Err(free) => {
                self.wildcards.insert(free, (host.clone(), Vec::new()));
                free
            }
        };
        &mut self.wildcards[at].1
    }

    /// The values of the closest pattern that covers the service called `name`.
    pub(super) fn closest(&self, name: &str) -> Option<&[T]> {
        if let Some(values) = self.exact.get(name) {
            return Some(values);
        }
        let (_, values) = self.wildcards.iter().find(|(host, _)| hostname::covers(host, name))?;
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(hosts: &[&str]) -> HostTable<String> {
        let mut table = HostTable::default();
        for host in hosts {
            table.entry(&Arc::from(*host)).push((*host).to_owned());
        }
        table
    }

    #[test]
    fn an_exact_host_beats_a_wildcard_and_the_longer_wildcard_beats_the_shorter() {
        let table = table(&["*", "*.local", "*.ns.svc.cluster.local", "web.ns.svc.cluster.local"]);
        let closest = |name| table.closest(name).map(|found| found[0].as_str());
        assert_eq!(closest("web.ns.svc.cluster.local"), Some("web.ns.svc.cluster.local"));
        assert_eq!(closest("api.ns.svc.cluster.local"), Some("*.ns.svc.cluster.local"));
        assert_eq!(closest("api.other.svc.cluster.local"), Some("*.local"));
        assert_eq!(closest("api.example"), Some("*"));
    }

    #[test]
    fn a_wildcard_service_is_found_by_its_own_pattern_first() {
        let table = table(&["*.example", "*.wild.example"]);
        assert_eq!(table.closest("*.wild.example").map(|found| found[0].as_str()), Some("*.wild.example"));
        assert_eq!(table.closest("*.tame.example").map(|found| found[0].as_str()), Some("*.example"));
    }

    #[test]
    fn nothing_covers_an_unrelated_name() {
        assert_eq!(table(&["*.local", "a.example"]).closest("b.example"), None);
    }
}
