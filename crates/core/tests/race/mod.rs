//! Models of races, run with each of the racers on the main thread.
//!
//! Loom starts from the schedule in which the main thread goes first and derives the others from the accesses that
//! conflict. A thread that reads a word before it writes it hides from loom that others read that word earlier, so some
//! schedules are found from one side only.

use loom::thread;

/// Runs `test` for each racer on the main thread, in every interleaving that loom finds.
pub(crate) fn model(racers: usize, test: impl Fn(usize) + Copy + Send + Sync + 'static) {
    for main in 0..racers {
        loom::model(move || test(main));
    }
}

/// Runs both at the same time, the one of index `main` on this thread.
pub(crate) fn race<A: Send + 'static, B: Send + 'static>(
    main: usize,
    one: impl FnOnce() -> A + Send + 'static,
    other: impl FnOnce() -> B + Send + 'static,
) -> (A, B) {
    if main == 0 {
        let other = thread::spawn(other);
        (one(), other.join().unwrap())
    } else {
        let one = thread::spawn(one);
        let other = other();
        (one.join().unwrap(), other)
    }
}
