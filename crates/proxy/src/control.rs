//! The control thread: the sweeps that return ejected hosts and judge rates, what runs out in breakers, limits that refuse nobody any
//! more, and the end of drained listeners. Nothing on it can delay a request.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fuseboard_core::{Instant, Rng};

use crate::clock;
use crate::error::StartError;
use crate::live::LiveSnapshot;
use crate::shared::{Phase, Shared};

/// Sweeps that are due within this time are made together.
const GRANULARITY: Duration = Duration::from_millis(2);

/// With nothing to sweep, looks again after this long; a new snapshot wakes it.
const RESTING: Duration = Duration::from_secs(60);

/// Starts the thread, which ends with the proxy.
pub(crate) fn spawn(shared: &Arc<Shared>) -> Result<JoinHandle<()>, StartError> {
    let failed = |source| StartError::Thread { what: "control".to_owned(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || runtime.block_on(run(shared)))
        .map_err(failed)
}

async fn run(shared: Arc<Shared>) {
    let mut rng = Rng::new(shared.options.seed);
    let mut phase = shared.phase.subscribe();
    loop {
        let now = clock::now();
        let next = {
            let _only_writer = shared.registry.control();
            let live = shared.registry.current();
            let next = sweep(&live, now, &mut rng);
            shared.drop_idle_breakers(&live, now);
            next
        };
        let next = next.into_iter().chain(shared.stop_due_listeners(now)).min();
        let pause = next.map_or(RESTING, |next| next.saturating_since(now)).max(GRANULARITY);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.applied.notified() => {}
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => break,
        }
    }
}

/// Returns the hosts whose time is over, ejects those whose rates are bad, and ends what is over in breakers; says when the next sweep is due.
fn sweep(live: &LiveSnapshot, now: Instant, rng: &mut Rng) -> Option<Instant> {
    let mut earliest: Option<Instant> = None;
    for view in &live.clusters {
        let breakers = view.breaker.iter().chain(&view.host_breakers);
        let ends = breakers.filter_map(|breaker| view.live.tick(breaker, now, rng)).min();
        let limits = view.live.leave_limits(now);
        earliest = [earliest, view.sweep(now, rng), ends, limits].into_iter().flatten().min();
        // Where probes were lost, an endpoint is out again.
        if !view.host_breakers.is_empty() && view.is_deserted(now) {
            view.live.dismiss_waiters();
        }
    }
    earliest
}
