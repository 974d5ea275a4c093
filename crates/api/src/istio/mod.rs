//! Istio's resources (`networking.istio.io`), field by field as its API has them.

pub mod destination_rule;
pub mod locality;
pub mod service_entry;
pub mod tls;

pub use destination_rule::DestinationRule;
pub use service_entry::ServiceEntry;

use crate::schema::object;
use crate::span::Map;

object! {
    /// Which workloads a rule is for.
    pub struct WorkloadSelector {
        /// Labels that a pod must have, all of them.
        match_labels: optional Map<String> = "matchLabels", Supported;
    }
}
