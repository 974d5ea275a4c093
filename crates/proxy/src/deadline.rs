//! Time-outs of one worker without a timer per request: each connection owns one slot, arming it writes a number, and a
//! sweep looks at all slots when the earliest could be due. The sweep runs only while something is armed.
//! What a time-out means is the exchange's business.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use fuseboard_core::Instant;
use tokio::sync::Notify;

use crate::clock::{self, NEVER};

/// The sweep never runs more often than this, so a time-out fires at most this late.
const GRANULARITY: Duration = Duration::from_millis(5);

/// What may run out on a connection. One exchange arms several at a time; the earliest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A keep-alive connection without a request.
    Idle,
    /// From the first byte of a request head to its end.
    RequestHead,
    /// Since the last byte of an incomplete request body.
    RequestBody,
    /// Since the client last took a part of its answer, while it takes none.
    Answer,
    /// The whole exchange.
    Route,
    /// The exchange from its first byte to its last, however long its request takes to come.
    Stream,
    /// One try.
    Try,
    /// The wait for a slot.
    Queue,
    /// The TCP connect.
    Connect,
    /// The pause before a retry, or before a closed connection is let go.
    Pause,
}

const TIMERS: [Timer; 10] = [
    Timer::Idle,
    Timer::RequestHead,
    Timer::RequestBody,
    Timer::Answer,
    Timer::Route,
    Timer::Stream,
    Timer::Try,
    Timer::Queue,
    Timer::Connect,
    Timer::Pause,
];

#[derive(Debug)]
struct Entry {
    /// Where it stands in the worker's list.
    index: Cell<usize>,
    earliest: Cell<Instant>,
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// All slots of one worker.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    entries: RefCell<Vec<Rc<Entry>>>,
    /// When the sweep looks next; `NEVER` while nothing is armed.
    next: Cell<Option<Instant>>,
    /// The time that the last sweep saw.
    swept: Cell<Instant>,
    earlier: Notify,
}

impl Deadlines {
    /// A slot for one connection; it leaves with the value.
    pub(crate) fn register(self: &Rc<Self>) -> Timers {
        let mut entries = self.entries.borrow_mut();
        let entry = Rc::new(Entry {
            index: Cell::new(entries.len()),
            earliest: Cell::new(NEVER),
            fired: Cell::new(false),
            waker: RefCell::new(None),
        });
        entries.push(Rc::clone(&entry));
        Timers { sweep: Rc::clone(self), entry, at: [const { Cell::new(NEVER) }; TIMERS.len()] }
    }

    /// Sweeps for ever; one task per worker.
    pub(crate) async fn run(self: Rc<Self>) {
        loop {
            match self.next.get() {
                None => self.earlier.notified().await,
                Some(next) => {
                    let pause = next.saturating_since(clock::now()).max(GRANULARITY);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.earlier.notified() => continue,
                    }
                    self.sweep(clock::now());
                }
            }
        }
    }

    /// Wakes every connection, due or not, so that each looks at the state of its worker (drain).
    pub(crate) fn wake_all(&self) {
        for entry in self.entries.borrow().iter() {
            wake(entry);
        }
    }

    fn sweep(&self, now: Instant) {
        self.swept.set(now);
        let mut next = NEVER;
        for entry in self.entries.borrow().iter() {
            let at = entry.earliest.get();
            if at <= now {
                entry.earliest.set(NEVER);
                entry.fired.set(true);
                wake(entry);
            } else if at < next {
                next = at;
            }
        }
        self.next.set((next < NEVER).then_some(next));
    }

    fn armed(&self, at: Instant) {
        if self.next.get().is_none_or(|next| at < next) {
            self.next.set(Some(at));
            self.earlier.notify_one();
        }
    }
}

fn wake(entry: &Entry) {
    let waker = entry.waker.borrow_mut().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The timers of one connection.
#[derive(Debug)]
pub(crate) struct Timers {
    sweep: Rc<Deadlines>,
    entry: Rc<Entry>,
    at: [Cell<Instant>; TIMERS.len()],
}

impl Timers {
    /// Sets `timer` to run out at `at`, whatever it was before.
    pub(crate) fn arm(&self, timer: Timer, at: Instant) {
        let cell = &self.at[timer as usize];
        let before = cell.replace(at);
        if at < self.entry.earliest.get() {
            self.entry.earliest.set(at);
            self.sweep.armed(at);
        } else if before == self.entry.earliest.get() {
            self.settle();
        }
    }

    /// Sets `timer` to run out then, or stops it.
    pub(crate) fn set(&self, timer: Timer, at: Option<Instant>) {
        match at {
            Some(at) => self.arm(timer, at),
            None => self.disarm(timer),
        }
    }

    /// Whether `timer` runs.
    pub(crate) fn is_armed(&self, timer: Timer) -> bool {
        self.at[timer as usize].get() < NEVER
    }

    /// Stops `timer`.
    pub(crate) fn disarm(&self, timer: Timer) {
        let before = self.at[timer as usize].replace(NEVER);
        if before < NEVER && before == self.entry.earliest.get() {
            self.settle();
        }
    }

    /// Stops all of them.
    pub(crate) fn disarm_all(&self) {
        for cell in &self.at {
            cell.set(NEVER);
        }
        self.entry.earliest.set(NEVER);
    }

    /// The first of `TIMERS` that has run out, which is thereby stopped; wakes the task of `cx` when one does.
    pub(crate) fn poll_expired(&self, cx: &Context<'_>) -> Option<Timer> {
        if self.entry.fired.get() {
            let now = self.sweep.swept.get();
            for timer in TIMERS {
                let cell = &self.at[timer as usize];
                if cell.get() <= now {
                    cell.set(NEVER);
                    return Some(timer);
                }
            }
            self.entry.fired.set(false);
            self.settle();
        }
        let mut waker = self.entry.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        None
    }

    /// The earliest timer becomes the slot's.
    fn settle(&self) {
        let earliest = self.at.iter().map(Cell::get).min().unwrap_or(NEVER);
        self.entry.earliest.set(earliest);
        if earliest < NEVER {
            self.sweep.armed(earliest);
        }
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        let mut entries = self.sweep.entries.borrow_mut();
        let index = self.entry.index.get();
        entries.swap_remove(index);
        if let Some(moved) = entries.get(index) {
            moved.index.set(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn expired(timers: &Timers) -> Option<Timer> {
        timers.poll_expired(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_earliest_timer_fires_first_and_only_when_due() {
        let deadlines = Rc::new(Deadlines::default());
        let timers = deadlines.register();
        timers.arm(Timer::Route, at(100));
        timers.arm(Timer::Try, at(50));
        deadlines.sweep(at(49));
        assert_eq!(expired(&timers), None);
        deadlines.sweep(at(60));
        assert_eq!(expired(&timers), Some(Timer::Try));
        assert_eq!(expired(&timers), None);
        deadlines.sweep(at(100));
        assert_eq!(expired(&timers), Some(Timer::Route));
    }

    #[test]
    fn a_stopped_timer_does_not_fire_and_lets_the_sweep_rest() {
        let deadlines = Rc::new(Deadlines::default());
        let timers = deadlines.register();
        timers.arm(Timer::Idle, at(10));
        timers.disarm(Timer::Idle);
        deadlines.sweep(at(20));
        assert_eq!(expired(&timers), None);
        assert_eq!(deadlines.next.get(), None, "nothing is armed: the sweep stops");
    }

    #[test]
    fn all_are_stopped_at_once_be_it_that_one_has_run_out_already() {
        let deadlines = Rc::new(Deadlines::default());
        let timers = deadlines.register();
        timers.arm(Timer::Try, at(10));
        timers.arm(Timer::Route, at(30));
        deadlines.sweep(at(20));
        timers.disarm_all();
        assert_eq!(expired(&timers), None);
        deadlines.sweep(at(40));
        assert_eq!(expired(&timers), None);
        timers.set(Timer::Idle, Some(at(50)));
        deadlines.sweep(at(60));
        assert_eq!(expired(&timers), Some(Timer::Idle), "and armed anew");
        timers.set(Timer::Idle, None);
        assert!(!timers.is_armed(Timer::Idle));
    }

    #[test]
    fn a_timer_moved_back_fires_at_its_new_time() {
        let deadlines = Rc::new(Deadlines::default());
        let timers = deadlines.register();
        timers.arm(Timer::Idle, at(10));
        timers.arm(Timer::Idle, at(30));
        deadlines.sweep(at(20));
        assert_eq!(expired(&timers), None);
        deadlines.sweep(at(30));
        assert_eq!(expired(&timers), Some(Timer::Idle));
    }

    #[test]
    fn a_closed_connection_leaves_the_sweep() {
        let deadlines = Rc::new(Deadlines::default());
        drop(deadlines.register());
        assert!(deadlines.entries.borrow().is_empty());
    }
}
