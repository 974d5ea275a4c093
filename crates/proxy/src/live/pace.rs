//! Tells of something that may happen with every call at most once a second, and how often it happened.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fuseboard_core::Instant;

const EVERY: Duration = Duration::from_secs(1);

/// When it may be told again, and how often it was not.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<(Option<Instant>, u32)>);

impl Pace {
    /// It happened. The number of times that were not told, if this one is to be.
    pub(super) fn tell(&self, now: Instant) -> Option<u32> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.is_some_and(|next| now < next) {
            state.1 = state.1.saturating_add(1);
            return None;
        }
        state.0 = Some(now + EVERY);
        Some(std::mem::take(&mut state.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_second_and_what_was_not_told_is_counted() {
        let pace = Pace::default();
        let at = Instant::from_millis;
        assert_eq!(pace.tell(at(5)), Some(0));
        assert_eq!([pace.tell(at(6)), pace.tell(at(1_004))], [None, None]);
        assert_eq!(pace.tell(at(1_005)), Some(2));
        assert_eq!(pace.tell(at(9_000)), Some(0));
    }
}
