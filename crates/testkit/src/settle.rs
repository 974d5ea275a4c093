//! Waiting for a condition with a deadline, where nothing could tell us that it holds.

use std::time::{Duration, Instant};

const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Waits until `condition` holds; false when it did not within `patience`.
pub async fn settle(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    // Most conditions hold after the other tasks had a turn or two.
    for _ in 0..8 {
        if condition() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    condition()
}
