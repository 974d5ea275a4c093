//! Every interleaving of who publishes a snapshot and who looks for a newer one, on the code that ships.
//! `RUSTFLAGS="--cfg loom" cargo test -p fuseboard-core --test loom_published`
#![cfg(loom)]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod race;

use std::sync::Arc;

use fuseboard_core::published::{Numbered, Published, Slot};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use race::{model, race};

#[derive(Debug)]
struct Value(u64);

impl Numbered for Value {
    fn number(&self) -> u64 {
        self.0
    }
}

/// Promises no more than that what is put down is seen sometime, and never an older one after a newer.
struct Weak {
    values: Vec<Arc<Value>>,
    at: AtomicUsize,
}

impl Slot<Value> for Weak {
    fn store(&self, value: Arc<Value>) {
        self.at.store(usize::try_from(value.0).unwrap(), Ordering::Relaxed);
    }

    fn load(&self) -> Arc<Value> {
        Arc::clone(&self.values[self.at.load(Ordering::Relaxed)])
    }
}

struct World {
    published: Published<Weak>,
    values: Vec<Arc<Value>>,
    writers: Mutex<()>,
}

/// Leaked, because what moves to a thread borrows from it.
fn world() -> &'static World {
    let values: Vec<_> = (0..4).map(|number| Arc::new(Value(number))).collect();
    let slot = Weak { values: values.clone(), at: AtomicUsize::new(0) };
    Box::leak(Box::new(World { published: Published::new(slot), values, writers: Mutex::new(()) }))
}

impl World {
    /// As the registry does: one writer at a time makes the next one of what is there.
    fn publish_next(&self) {
        let _only_writer = self.writers.lock().unwrap();
        let next = self.published.current().0 + 1;
        self.published.publish(Arc::clone(&self.values[usize::try_from(next).unwrap()]));
    }

    /// What a worker does for each request.
    fn look(&self, view: &mut Arc<Value>) {
        if !self.published.is_current(&**view) {
            let newer = self.published.current();
            assert!(newer.0 >= view.0, "{} after {}", newer.0, view.0);
            *view = newer;
        }
    }

    fn first(&self) -> Arc<Value> {
        Arc::clone(&self.values[0])
    }
}

#[test]
fn who_sees_a_number_gets_its_value_or_a_newer_one() {
    model(2, |main| {
        let world = world();
        let read = || {
            let number = world.published.number();
            assert!(world.published.current().0 >= number);
        };
        race(main, || world.publish_next(), read);
    });
}

#[test]
fn a_worker_goes_forward_only_and_ends_with_the_last() {
    model(2, |main| {
        let world = world();
        let write = || {
            world.publish_next();
            world.publish_next();
        };
        let work = || {
            let mut view = world.first();
            world.look(&mut view);
            world.look(&mut view);
            view
        };
        let ((), mut view) = race(main, write, work);
        world.look(&mut view);
        assert_eq!(view.0, 2);
    });
}

#[test]
fn a_request_that_comes_after_the_push_was_confirmed_is_served_by_it() {
    model(2, |main| {
        let world = world();
        let confirmed: &AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let write = || {
            world.publish_next();
            confirmed.store(true, Ordering::Release);
        };
        let work = || {
            let told = confirmed.load(Ordering::Acquire);
            let mut view = world.first();
            world.look(&mut view);
            assert!(!told || view.0 == 1);
        };
        race(main, write, work);
    });
}

#[test]
fn two_who_publish_leave_no_number_out_and_none_twice() {
    model(2, |main| {
        let world = world();
        race(main, || world.publish_next(), || world.publish_next());
        assert_eq!((world.published.number(), world.published.current().0), (2, 2));
    });
}
