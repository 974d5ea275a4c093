//! Callers in the chaos: each with one request after the other, each request with an id of its own that hosts note down.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fuseboard_core::Rng;
use fuseboard_testkit::{Caller, Door, Line, Run};
use tokio::time::timeout;

use super::Stage;
use crate::prove::calls::{Fate, Tally};
use crate::prove::judge::{Docket, Seen};

/// Longer than route's time-out, a worker's standstill and a lack of descriptors together.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a refusal, and without descriptors. Otherwise most calls would be refused ones.
const BREATH: Duration = Duration::from_millis(2);

/// What all callers write into.
pub(super) struct Book {
    pub(super) until: Instant,
    next: Cell<u64>,
    tally: Cell<Tally>,
    pub(super) docket: RefCell<Docket>,
    pub(super) broken: Cell<u32>,
}

impl Book {
    pub(super) fn new(until: Instant) -> Rc<Self> {
        Rc::new(Self {
            until,
            next: Cell::new(0),
            tally: Cell::default(),
            docket: RefCell::default(),
            broken: Cell::new(0),
        })
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally.get()
    }

    fn id(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    fn enter(&self, stage: &Stage, target: String, (repeatable, seen): (bool, Seen), runs: Vec<Run>) {
        let mut docket = self.docket.borrow_mut();
        docket.enter(target, repeatable, seen, runs);
        docket.settle_old(|target| stage.rig.borrow().origin.take_runs(target));
    }

    fn count(&self, seen: Seen) {
        let mut tally = self.tally.get();
        tally.enter(match seen {
            Seen::Answered => Fate::Answered,
            Seen::Flagged { .. } => Fate::Refused,
            Seen::GivenUp => Fate::GivenUp,
            Seen::Broken | Seen::Silence | Seen::Wrong(_) => Fate::Failed,
        });
        self.tally.set(tally);
        if seen == Seen::Broken {
            self.broken.set(self.broken.get() + 1);
        }
    }
}

/// How a caller speaks.
#[derive(Clone, Copy)]
pub(super) enum Tongue {
    Http1 { keep_alive: bool },
    Http2,
}

impl Tongue {
    /// A third each.
    pub(super) const fn of(number: u32) -> Self {
        match number % 3 {
            0 => Self::Http1 { keep_alive: true },
            1 => Self::Http1 { keep_alive: false },
            _ => Self::Http2,
        }
    }

    fn caller(self, door: &Door) -> Caller {
        match self {
            Self::Http1 { keep_alive } => Caller::new(door.clone(), keep_alive),
            Self::Http2 => Caller::on(Line::new(door.clone())),
        }
    }
}

/// Calls until the time is over.
pub(super) async fn call_on(stage: Rc<Stage>, tongue: Tongue, mut rng: Rng) {
    let door = stage.rig.borrow().door();
    let book = &stage.book;
    let mut caller = tongue.caller(&door);
    while Instant::now() < book.until {
        if let Err(error) = caller.connect().await {
            if !is_lack(&error) {
                book.docket.borrow_mut().wrong.push(format!("a caller can't connect: {error}"));
            }
            caller = tongue.caller(&door);
            tokio::time::sleep(BREATH).await;
            continue;
        }
        // One in eight is answered 503 by its host.
        let query = if rng.below(8) == 0 { "?status=503" } else { "" };
        let target = format!("/chaos/{}{query}", book.id());
        let repeatable = rng.below(2) == 0;
        let method = if repeatable { "GET" } else { "POST" };
        let asked = timeout(PATIENCE, caller.ask(method, &target));
        let seen = tokio::select! {
            biased;
            () = impatience(&mut rng) => Seen::GivenUp,
            answer = asked => answer.map_or(Seen::Silence, |answer| Seen::of(&answer, &target)),
        };
        book.count(seen);
        let runs = stage.rig.borrow().origin.take_runs(&target);
        book.enter(&stage, target, (repeatable, seen), runs);
        match seen {
            Seen::Answered => {}
            Seen::Flagged { .. } => tokio::time::sleep(BREATH).await,
            // The stream of a call that was dropped is reset, and its connection goes on.
            Seen::GivenUp => caller.abort(rng.below(2) == 0),
            Seen::Broken | Seen::Silence | Seen::Wrong(_) => caller = tongue.caller(&door),
        }
    }
    caller.end().await;
}

/// Without descriptors nobody can connect, and a handshake that was cut off by that is no request.
fn is_lack(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24)) || error.kind() == io::ErrorKind::Other
}

/// Most wait as long as it takes, some give up within the time of an answer.
async fn impatience(rng: &mut Rng) {
    match rng.below(8) {
        0 => tokio::time::sleep(Duration::from_micros(u64::from(rng.below(3_000)))).await,
        _ => std::future::pending().await,
    }
}
