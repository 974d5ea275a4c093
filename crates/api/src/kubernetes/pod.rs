//! `Pod` (`v1`): read for its labels alone, by which subsets choose endpoints.

use crate::schema::object;
use crate::tree::Node;

object! {
    /// The resource, as far as it matters here.
    pub struct Pod {
        /// What runs in it.
        spec: optional Node = "spec", Ignored;
        /// Its state, with its addresses (`podIP`, `podIPs`).
        status: optional Node = "status", Supported;
    }
}

impl Pod {
    /// Its addresses, as written; empty before it runs.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let status = self.status.as_ref().map(|status| &status.value);
        let first = status.and_then(|status| status.get("podIP"));
        let all = status.and_then(|status| status.get("podIPs")).map_or(&[][..], Node::elements);
        first.into_iter().chain(all.iter().filter_map(|entry| entry.get("ip"))).filter_map(Node::text)
    }
}
