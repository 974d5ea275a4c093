//! A burst: every request has come before the first is answered.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::caller::{Answer, Caller};
use crate::ledger::Count;
use crate::rig::{Gauges, Rig};
use crate::settle::settle;
use crate::split::Split;

/// What became of a burst.
pub struct Burst {
    /// While the origin held its answers: what origin and callers saw, and what the proxy said of its queue.
    pub held: Split,
    /// The proxy's gauges at that moment.
    pub gauges: Gauges,
    /// The origin's count after the last answer.
    pub count: Count,
    /// Callers that got 200, with their own answer.
    pub ok: u32,
    /// Callers that got 503.
    pub refused: u32,
    /// Whatever else happened to a caller.
    pub other: Vec<String>,
    /// The callers that came to an end, for the next burst.
    pub callers: Vec<Caller>,
}

/// Lets every caller send one request while the origin holds its answers; waits until the requests are where `expected`
/// says, or until `patience` is over; lets the origin answer, and waits for the callers for as long again.
pub async fn burst(
    rig: &Rig,
    mut callers: Vec<Caller>,
    expected: Split,
    patience: Duration,
) -> io::Result<Burst> {
    for caller in &mut callers {
        caller.connect().await?;
    }
    rig.origin.hold();
    let refused = Arc::new(AtomicU32::new(0));
    let mut calls = JoinSet::new();
    for (index, caller) in callers.into_iter().enumerate() {
        calls.spawn(call(caller, format!("/burst/{index}"), Arc::clone(&refused)));
    }
    let look = || Split {
        running: rig.origin.count().requests,
        waiting: rig.gauges().pending,
        refused: refused.load(Ordering::Relaxed),
    };
    settle(patience, || look() == expected).await;
    let (held, gauges) = (look(), rig.gauges());
    rig.origin.open();
    let mut burst = Burst {
        held,
        gauges,
        count: Count::default(),
        ok: 0,
        refused: 0,
        other: Vec::new(),
        callers: Vec::new(),
    };
    while let Ok(Some(ended)) = timeout(patience, calls.join_next()).await {
        let (caller, target, answer) = ended.map_err(io::Error::other)?;
        burst.enter(&target, answer);
        burst.callers.push(caller);
    }
    if !calls.is_empty() {
        burst.other.push(format!("{} callers got no answer", calls.len()));
    }
    burst.count = rig.origin.count();
    Ok(burst)
}

async fn call(
    mut caller: Caller,
    target: String,
    refused: Arc<AtomicU32>,
) -> (Caller, String, io::Result<Answer>) {
    let answer = caller.get(&target).await;
    if answer.as_ref().is_ok_and(|answer| answer.status == 503) {
        refused.fetch_add(1, Ordering::Relaxed);
    }
    (caller, target, answer)
}

impl Burst {
    fn enter(&mut self, target: &str, answer: io::Result<Answer>) {
        match answer {
            Ok(answer) if answer.status == 200 && answer.body == target.as_bytes() => self.ok += 1,
            Ok(answer) if answer.status == 200 => self.other.push("somebody else's answer".to_owned()),
            Ok(answer) if answer.status == 503 => self.refused += 1,
            Ok(answer) => self.other.push(format!("status {}", answer.status)),
            Err(error) => self.other.push(error.to_string()),
        }
    }
}
