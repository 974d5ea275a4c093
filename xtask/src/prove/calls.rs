//! Single calls of many callers, counted by how they ended; what steady, changing and impatient callers have in common.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use fuseboard_testkit::{Answer, Caller};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::report::Progress;

/// Nothing that a healthy proxy does takes as long. A caller whose call fails calls no more, so that a proxy that is not is
/// found out soon.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often somebody who watches is told.
const SHOWN: Duration = Duration::from_millis(200);

/// How one call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    Refused,
    Failed,
    GivenUp,
}

impl Fate {
    /// What `answer` is to who asked for `target`.
    fn of(answer: &io::Result<Answer>, target: &str) -> Self {
        match answer {
            Ok(answer) if answer.status == 200 && answer.body == target.as_bytes() => Self::Answered,
            Ok(answer) if answer.status == 503 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// Calls by how they ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) answered: u32,
    pub(super) refused: u32,
    pub(super) failed: u32,
    pub(super) given_up: u32,
}

impl Tally {
    pub(super) const fn enter(&mut self, fate: Fate) {
        match fate {
            Fate::Answered => self.answered += 1,
            Fate::Refused => self.refused += 1,
            Fate::Failed => self.failed += 1,
            Fate::GivenUp => self.given_up += 1,
        }
    }
}

/// A number of calls that some callers make together.
pub(super) struct Calls {
    left: Cell<u32>,
    tally: Cell<Tally>,
}

impl Calls {
    pub(super) fn new(calls: u32) -> Rc<Self> {
        Rc::new(Self { left: Cell::new(calls), tally: Cell::default() })
    }

    /// Those that have ended.
    const fn ended(&self) -> u32 {
        let Tally { answered, refused, failed, given_up } = self.tally.get();
        answered + refused + failed + given_up
    }

    /// The number of the next call; `None`: there is none.
    pub(super) fn next(&self) -> Option<u32> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        Some(left)
    }

    /// Whether every call was begun, or nobody is left to make one.
    pub(super) fn is_over(self: &Rc<Self>) -> bool {
        self.left.get() == 0 || Rc::strong_count(self) == 1
    }

    pub(super) fn enter(&self, fate: Fate) {
        let mut tally = self.tally.get();
        tally.enter(fate);
        self.tally.set(tally);
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally.get()
    }
}

/// One call, to its end.
pub(super) async fn call(caller: &mut Caller, target: &str) -> Fate {
    timeout(PATIENCE, caller.get(target)).await.map_or(Fate::Failed, |answer| Fate::of(&answer, target))
}

/// One call after the other, until there is none left or one fails.
pub(super) async fn call_on(mut caller: Caller, calls: Rc<Calls>) {
    while let Some(number) = calls.next() {
        let fate = call(&mut caller, &format!("/call/{number}")).await;
        calls.enter(fate);
        if fate == Fate::Failed {
            return;
        }
    }
    caller.end().await;
}

/// All calls, by these callers.
pub(super) async fn make(calls: &Rc<Calls>, callers: Vec<Caller>, progress: &mut Progress) {
    let local = LocalSet::new();
    for caller in callers {
        local.spawn_local(call_on(caller, Rc::clone(calls)));
    }
    let mut shown = 0;
    let mut show = |progress: &mut Progress| {
        let ended = calls.ended();
        progress.step(ended - shown);
        shown = ended;
    };
    let watch = async {
        loop {
            tokio::time::sleep(SHOWN).await;
            show(progress);
        }
    };
    tokio::select! {
        () = local => {}
        () = watch => {}
    }
    show(progress);
}
