//! What a test expects of an admission.

use fuseboard_core::limit::{Admission, Slot, Waiter};

/// Let in at once.
pub(crate) fn admitted(admission: Admission<'_>) -> Slot<'_> {
    match admission {
        Admission::Admitted(slot) => slot,
        other => panic!("not admitted at once: {other:?}"),
    }
}

/// In the queue.
pub(crate) fn queued(admission: Admission<'_>) -> Waiter<'_> {
    match admission {
        Admission::Queued(waiter) => waiter,
        other => panic!("not queued: {other:?}"),
    }
}
