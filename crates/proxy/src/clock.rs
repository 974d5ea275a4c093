//! The only place where the data plane reads a clock. Everything else takes `now` as an argument.
//! It decides nothing about when to read; the exchange reads at most twice per request.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use fuseboard_core::Instant;

/// Both clocks read at the same moment, once per process.
struct Epoch {
    monotonic: std::time::Instant,
    wall: SystemTime,
}

static EPOCH: LazyLock<Epoch> =
    LazyLock::new(|| Epoch { monotonic: std::time::Instant::now(), wall: SystemTime::now() });

/// A point in time that never comes.
pub(crate) const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// Monotonic time since the process's first reading.
pub(crate) fn now() -> Instant {
    let nanos = EPOCH.monotonic.elapsed().as_nanos();
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Wall-clock time of a monotonic reading; steps of the system clock after the start of the process are not seen.
pub(crate) fn wall(at: Instant) -> SystemTime {
    EPOCH.wall + Duration::from_nanos(at.as_nanos())
}

/// Whole seconds since 1970 of a monotonic reading.
pub(crate) fn unix_seconds(at: Instant) -> u64 {
    wall(at).duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
