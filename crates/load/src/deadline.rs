//! A bound on time that costs nothing when it is kept. Each call has a later deadline than the one before it, so the
//! timer is left where it stands and moved only when it goes off too early: about once in a time-out, not once in a call.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer for many deadlines, each not before the last; made inside a runtime.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { at: now, timer: Box::pin(sleep_until(now)) }
    }

    /// The deadline of what is awaited from here on.
    pub(crate) fn set(&mut self, at: Instant) {
        // A timer that stands later than that would go off too late.
        if self.timer.deadline() > at {
            self.timer.as_mut().reset(at);
        }
        self.at = at;
    }

    /// What the work comes back with, or `None` when the deadline comes first.
    pub(crate) async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            while self.timer.as_mut().poll(cx).is_ready() {
                if Instant::now() >= self.at {
                    return Poll::Ready(None);
                }
                self.timer.as_mut().reset(self.at);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use super::*;

    fn in_ms(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[tokio::test]
    async fn a_timer_that_went_off_too_early_is_moved_and_the_deadline_kept() {
        let mut deadline = Deadline::new();
        // The timer stands at the moment it was made, before each of these.
        for ms in [1, 20, 40] {
            let at = in_ms(ms);
            deadline.set(at);
            assert_eq!(deadline.bound(tokio::task::yield_now()).await, Some(()));
            assert_eq!(deadline.bound(pending::<()>()).await, None);
            assert!(Instant::now() >= at, "{ms}");
        }
    }

    #[tokio::test]
    async fn an_earlier_deadline_than_before_is_kept_too() {
        let mut deadline = Deadline::new();
        deadline.set(in_ms(60_000));
        // Polled once while pending, so that the timer has moved to the far deadline.
        assert_eq!(deadline.bound(tokio::task::yield_now()).await, Some(()));
        assert_eq!(deadline.bound(ready(7)).await, Some(7));
        deadline.set(in_ms(10));
        assert_eq!(deadline.bound(pending::<()>()).await, None);
    }
}
