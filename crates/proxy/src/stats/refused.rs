//! Refusals by reason: the closed list of [`RefusalReason`], one counter each, present from the start.

use fuseboard_core::refusal::RefusalReason;
use fuseboard_stats::{Counter, Reading, ScopeId, StatName, TagDesc};

/// The counters' name, and their label in Prometheus.
pub const REFUSED: TagDesc = TagDesc {
    name: "refused",
    family: "refused_total",
    label: "reason",
    help: "Requests or connections refused, by reason.",
};

/// One counter per reason.
#[derive(Debug, Default)]
pub struct Refused([Counter; RefusalReason::ALL.len()]);

impl Refused {
    /// Counts one refusal. Only the block's own writer may call it.
    pub fn inc(&self, reason: RefusalReason) {
        if let Some((_, counter)) = self.iter().find(|(candidate, _)| *candidate == reason) {
            counter.inc();
        }
    }

    fn iter(&self) -> impl Iterator<Item = (RefusalReason, &Counter)> {
        RefusalReason::ALL.into_iter().zip(&self.0)
    }
}

/// Whether listeners refuse for this reason; clusters refuse for all others.
pub(super) fn is_of_listener(reason: RefusalReason) -> bool {
    matches!(reason, RefusalReason::LimitDownstreamConnections)
}

/// Adds one counter per reason that `belongs` here.
pub(super) fn collect<'a>(
    reading: &mut Reading,
    scope: ScopeId,
    shards: impl Iterator<Item = &'a Refused>,
    belongs: impl Fn(RefusalReason) -> bool,
) {
    let mut totals = RefusalReason::ALL.map(|reason| (reason, 0));
    for shard in shards {
        for ((_, total), (_, counter)) in totals.iter_mut().zip(shard.iter()) {
            *total += counter.get();
        }
    }
    let here = totals.into_iter().filter(|(reason, _)| belongs(*reason));
    let named = here.map(|(reason, total)| (StatName::Tagged(&REFUSED, reason.token()), total));
    reading.counters(scope, named.collect());
}
