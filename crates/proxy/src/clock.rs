//! The only place where the data plane reads a clock. Everything else takes `now` as an argument.
//! It decides nothing about when to read; the exchange reads at most twice per request.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use fuseboard_core::Instant;

const SECOND: u64 = 1_000_000_000;

/// Both clocks read at the same moment, once per process.
struct Epoch {
    monotonic: std::time::Instant,
    /// Nanoseconds since 1970.
    unix: u64,
}

static EPOCH: LazyLock<Epoch> = LazyLock::new(|| {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let unix = u64::try_from(unix.as_nanos()).unwrap_or_default();
    Epoch { monotonic: std::time::Instant::now(), unix }
});

/// A point in time that never comes.
pub(crate) const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// Monotonic time since the process's first reading.
pub(crate) fn now() -> Instant {
    let nanos = EPOCH.monotonic.elapsed().as_nanos();
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Wall-clock time of a monotonic reading; steps of the system clock after the start of the process are not seen.
pub(crate) fn wall(at: Instant) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_nanos(at))
}

/// Whole seconds since 1970 of a monotonic reading.
pub(crate) fn unix_seconds(at: Instant) -> u64 {
    unix_nanos(at) / SECOND
}

fn unix_nanos(at: Instant) -> u64 {
    EPOCH.unix.saturating_add(at.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_go_on_as_the_standard_librarys_do() {
        // One reading before ours and one after: between any two the thread may have to wait for its turn.
        let outer = std::time::Instant::now();
        let (before, wall_before) = (now(), SystemTime::now());
        let inner = std::time::Instant::now();
        while inner.elapsed() < Duration::from_millis(2) {}
        let (least, after) = (inner.elapsed(), now());
        let passed = after.saturating_since(before);
        assert!(passed >= least && passed <= outer.elapsed(), "{passed:?} is not within {least:?} and more");
        let off = wall(before).duration_since(wall_before).unwrap_or_else(|early| early.duration());
        assert!(off < Duration::from_secs(10), "{off:?}");
        let seconds = wall(after).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(unix_seconds(after), seconds);
    }
}
