//! From the authority of a request to its route: exact domains first, then the longest suffix, then any (Envoy's order).

use std::collections::HashMap;
use std::sync::Arc;

use fuseboard_snapshot::{Domain, Route, RouteConfig};

/// A routing table made ready for lookups; values are indices of virtual hosts.
#[derive(Debug)]
pub(crate) struct RoutingTable {
    config: Arc<RouteConfig>,
    exact: HashMap<Box<[u8]>, usize>,
    /// The longest first.
    suffixes: Vec<(Box<[u8]>, usize)>,
    any: Option<usize>,
}

/// A route of a table; valid for that table only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteRef(usize);

impl RoutingTable {
    pub(crate) fn new(config: &Arc<RouteConfig>) -> Self {
        let mut table =
            Self { config: Arc::clone(config), exact: HashMap::new(), suffixes: Vec::new(), any: None };
        for (index, host) in config.virtual_hosts.iter().enumerate() {
            for domain in &host.domains {
                match domain {
                    Domain::Exact(name) => {
                        table.exact.entry(name.as_bytes().into()).or_insert(index);
                    }
                    Domain::Suffix(suffix) => table.suffixes.push((suffix.as_bytes().into(), index)),
                    Domain::Any => table.any = table.any.or(Some(index)),
                }
            }
        }
        table.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        table
    }

    /// The route for an authority in any case; an empty one (HTTP/1.0) matches `Any` only.
    pub(crate) fn find(&self, authority: &[u8]) -> Option<RouteRef> {
        let lower = authority.to_ascii_lowercase();
        let suffix = || {
            let ends = |suffix: &[u8]| lower.len() > suffix.len() && lower.ends_with(suffix);
            self.suffixes.iter().find(|(suffix, _)| ends(suffix)).map(|(_, index)| *index)
        };
        self.exact.get(&lower[..]).copied().or_else(suffix).or(self.any).map(RouteRef)
    }

    /// What happens to requests of this route.
    pub(crate) fn route(&self, RouteRef(index): RouteRef) -> &Route {
        &self.config.virtual_hosts[index].route
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fuseboard_core::limit::Priority;
    use fuseboard_snapshot::VirtualHost;

    fn host(domains: &[Domain], cluster: usize) -> VirtualHost {
        let route = Route {
            name: "default".into(),
            cluster,
            timeout: None,
            retry: None,
            priority: Priority::Default,
        };
        VirtualHost { name: "v".into(), domains: domains.to_vec(), route }
    }

    fn table(virtual_hosts: Vec<VirtualHost>) -> RoutingTable {
        RoutingTable::new(&Arc::new(RouteConfig { name: "80".into(), virtual_hosts }))
    }

    fn found(table: &RoutingTable, authority: &str) -> Option<usize> {
        table.find(authority.as_bytes()).map(|found| table.route(found).cluster)
    }

    #[test]
    fn exact_wins_over_suffix_and_the_longest_suffix_over_any() {
        let table = table(vec![
            host(&[Domain::Any], 0),
            host(&[Domain::Suffix(".com".into())], 1),
            host(&[Domain::Suffix(".shop.com".into())], 2),
            host(&[Domain::Exact("a.shop.com".into()), Domain::Exact("a.shop.com:80".into())], 3),
        ]);
        assert_eq!(found(&table, "A.Shop.com"), Some(3));
        assert_eq!(found(&table, "a.shop.com:80"), Some(3));
        assert_eq!(found(&table, "b.shop.com"), Some(2));
        assert_eq!(found(&table, "b.com"), Some(1));
        assert_eq!(found(&table, ".com"), Some(0), "a suffix needs something before it");
        assert_eq!(found(&table, ""), Some(0));
    }

    #[test]
    fn nothing_matches_in_a_table_without_a_match() {
        let table = table(vec![host(&[Domain::Exact("a".into())], 0)]);
        assert_eq!(found(&table, "b"), None);
    }
}
