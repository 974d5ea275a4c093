//! Which limits of a cluster refuse now, told once when that begins and once when it is over, however many calls there are. Asked where
//! a call is refused, and by the control thread.

use std::time::Duration;

use fuseboard_admin::status::HistoryEvent;
use fuseboard_core::Instant;
use fuseboard_core::limit::{Episodes, Lull};
use fuseboard_core::refusal::RefusalReason;

/// A limit that has refused nobody for so long is left. So each is told of at most twice in this time.
const QUIET: Duration = Duration::from_secs(1);

/// The limits of a cluster, as far as calls meet them.
const LIMITS: [RefusalReason; 6] = [
    RefusalReason::LimitConnections,
    RefusalReason::LimitQueueFull,
    RefusalReason::LimitQueueTimeout,
    RefusalReason::LimitRequests,
    RefusalReason::LimitPools,
    RefusalReason::LimitRetries,
];

/// One cluster's limits.
#[derive(Debug, Default)]
pub(super) struct Refusing([Episodes; LIMITS.len()]);

impl Refusing {
    /// A call was refused; the event, where it is the first one.
    pub(super) fn note(
        &self,
        reason: RefusalReason,
        bound: Option<u32>,
        now: Instant,
    ) -> Option<HistoryEvent> {
        let index = LIMITS.iter().position(|limit| *limit == reason)?;
        self.0[index].note(now).then_some(HistoryEvent::LimitReached { reason, bound })
    }

    /// Limits that are left now, and when to look again.
    pub(super) fn left(&self, now: Instant) -> (Vec<HistoryEvent>, Option<Instant>) {
        let (mut left, mut next) = (Vec::new(), None::<Instant>);
        for (reason, episodes) in LIMITS.into_iter().zip(&self.0) {
            match episodes.end_if_quiet(QUIET, now) {
                Lull::None => {}
                Lull::Due(at) => next = Some(next.map_or(at, |next| next.min(at))),
                Lull::Over { began, last, count } => {
                    let lasted = last.saturating_since(began);
                    left.push(HistoryEvent::LimitLeft { reason, refused: count, lasted });
                }
            }
        }
        (left, next)
    }
}
