//! The pages that the tables are made from, asked of a proxy or kept in a file: `/config_dump`, with or without endpoints, and
//! `/clusters?format=json`.

use super::Tree;

/// What one page holds.
#[derive(Clone, Debug)]
pub enum Dump {
    /// `/config_dump`
    Config(Tree),
    /// `/clusters?format=json`
    Clusters(Tree),
}

/// Why a text is no page, or not the one that is needed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// JSON of something else.
    #[error("neither a config dump (`configs`) nor a list of clusters (`cluster_statuses`)")]
    NotAPage,
    /// istioctl's words for a dump without clusters.
    #[error("no clusters found")]
    NoClusters,
    /// A config dump without listeners.
    #[error("no listeners found")]
    NoListeners,
    /// A config dump without routes.
    #[error("no routes found")]
    NoRoutes,
    /// A config dump of which the endpoints were not asked for.
    #[error("no endpoints in this config dump; ask for them: /config_dump?include_eds")]
    NoEndpoints,
    /// Clusters are configuration, and this page is about hosts.
    #[error("a list of clusters and hosts, not a config dump: /config_dump has their settings")]
    NotSettings,
}

impl Dump {
    /// Reads either page.
    pub fn parse(text: &str) -> Result<Self, DumpError> {
        let tree: Tree = serde_json::from_str(text)?;
        // `/clusters` of a proxy without clusters is an empty object.
        let is_empty = matches!(&tree, Tree::Map(fields) if fields.is_empty());
        if tree.field("configs").is_some() {
            Ok(Self::Config(tree))
        } else if is_empty || tree.field("cluster_statuses").is_some() {
            Ok(Self::Clusters(tree))
        } else {
            Err(DumpError::NotAPage)
        }
    }

    /// The sections of one kind: `ClustersConfigDump`.
    pub(super) fn sections<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Tree> {
        let configs = match self {
            Self::Config(tree) => tree.items(&["configs"]),
            Self::Clusters(_) => &[],
        };
        configs.iter().filter(move |section| section.text(&["@type"]).rsplit('.').next() == Some(kind))
    }

    /// The resources of one section: `field` of the entries of `lists`, or of what is in force of them.
    pub(super) fn resources<'a>(
        &'a self,
        section: &'a str,
        lists: [&'a str; 2],
        field: &'a str,
    ) -> Result<Vec<&'a Tree>, DumpError> {
        if matches!(self, Self::Clusters(_)) {
            return Err(DumpError::NotSettings);
        }
        let entries = self
            .sections(section)
            .flat_map(|section| lists.into_iter().flat_map(|list| section.items(&[list])));
        let of_entry = |entry: &'a Tree| entry.field(field).or_else(|| entry.at(&["active_state", field]));
        Ok(entries.filter_map(of_entry).collect())
    }
}

/// Resources as istioctl's JSON has them.
pub(super) fn settings<'a>(resources: impl IntoIterator<Item = &'a Tree>) -> Tree {
    Tree::List(resources.into_iter().cloned().map(Tree::into_camel_case).collect())
}

/// Names of clusters in istioctl's order: by host, subset, port and direction.
pub(super) fn order(name: &str) -> (&str, &str, u64, &str) {
    match parts(name) {
        Some((direction, port, subset, host)) => (host, subset, port.parse().unwrap_or_default(), direction),
        None => (name, "", 0, ""),
    }
}

/// Direction, port, subset and host of a name like `outbound|8000|v1|httpbin.default.svc.cluster.local`; `None` for others.
pub(super) fn parts(name: &str) -> Option<(&str, &str, &str, &str)> {
    let mut parts = name.splitn(4, '|');
    Some((parts.next()?, parts.next()?, parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_by_what_it_holds() {
        assert!(matches!(Dump::parse(r#"{"configs":[]}"#), Ok(Dump::Config(_))));
        assert!(matches!(Dump::parse(r#"{"cluster_statuses":[]}"#), Ok(Dump::Clusters(_))));
        assert!(matches!(Dump::parse("{}"), Ok(Dump::Clusters(_))));
        assert!(matches!(Dump::parse(r#"{"stats":[]}"#), Err(DumpError::NotAPage)));
        assert!(matches!(Dump::parse("LIVE"), Err(DumpError::NotJson(_))));
    }

    #[test]
    fn names_sort_by_host_first() {
        let mut names = [
            "outbound|80|v1|b",
            "outbound|9080||a",
            "inbound|80||a",
            "outbound|80||a",
            "agent",
            "outbound|80||b",
        ];
        names.sort_by_key(|name| order(name));
        assert_eq!(
            names,
            [
                "inbound|80||a",
                "outbound|80||a",
                "outbound|9080||a",
                "agent",
                "outbound|80||b",
                "outbound|80|v1|b"
            ]
        );
    }
}
