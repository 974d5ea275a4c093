//! Open arrivals: each call starts when it is due, whatever became of the calls before it, as those of many independent
//! users do. One thread hands calls to connections; the one that became idle last goes first, so that no more are open
//! than are needed. At the bound of calls in flight a call waits for the next that ends, and is counted.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::caller::{Caller, sleep_until};
use crate::engine::{Message, Run};

/// Makes the calls of the plan's profile.
pub(crate) async fn arrive(run: Arc<Run>, results: mpsc::UnboundedSender<Message>) {
    let Some(profile) = run.plan.profile.clone() else { return };
    let mut first = Caller::new(Arc::clone(&run), 0, results.clone());
    let Some(start) = first.ready().await else { return };
    let end = start + profile.length();
    let mut callers =
        Callers { run: Arc::clone(&run), results, made: 1, idle: vec![first], busy: JoinSet::new() };
    let mut alarm = Alarm::new();
    // When a place became free for the last call that waited for one: what was due before waited too.
    let mut freed = start;
    for call in 0..profile.calls() {
        let due = start + profile.due(call);
        if sleep_until(due, &mut alarm, &run.stop).await.is_break() {
            break;
        }
        if Instant::now() > due {
            // Whoever is late all the time must let the answers come in nevertheless.
            tokio::task::yield_now().await;
        }
        let mut caller = match callers.take() {
            Some(caller) => caller,
            None => {
                let Some(caller) = callers.ended().await else { break };
                freed = Instant::now();
                caller
            }
        };
        let held = due < freed;
        if held && Instant::now() > end {
            callers.idle.push(caller);
            break;
        }
        caller.enter(profile.phase_of(call), held);
        callers.busy.spawn(async move {
            caller.call(call, Instant::now(), Some(due)).await;
            caller
        });
    }
    callers.finish().await;
}

/// The connections, each at rest or with one call.
struct Callers {
    run: Arc<Run>,
    results: mpsc::UnboundedSender<Message>,
    made: usize,
    idle: Vec<Caller>,
    busy: JoinSet<Caller>,
}

impl Callers {
    /// One that is idle, or a new one; `None` at the bound.
    fn take(&mut self) -> Option<Caller> {
        while let Some(Ok(caller)) = self.busy.try_join_next() {
            self.idle.push(caller);
        }
        self.idle.pop().or_else(|| {
            let id = self.made;
            (id < self.run.plan.connections).then(|| {
                self.made += 1;
                Caller::new(Arc::clone(&self.run), id, self.results.clone())
            })
        })
    }

    /// The next one whose call ends; `None` when the run does.
    async fn ended(&mut self) -> Option<Caller> {
        tokio::select! {
            biased;
            () = self.run.stop.cancelled() => None,
            ended = self.busy.join_next() => ended.and_then(Result::ok),
        }
    }

    async fn finish(mut self) {
        while let Some(Ok(caller)) = self.busy.join_next().await {
            self.idle.push(caller);
        }
        self.idle.into_iter().for_each(Caller::finish);
    }
}
