//! Tasks that serve streams of HTTP/2, one after the other. What such a task runs is several KB, so that a worker keeps those that
//! are done for the streams that come next, which then cost neither memory nor a task of their own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::http2::Opened;
use crate::free_list::FreeList;

/// The tasks of one worker that have nothing to do.
#[derive(Debug, Default)]
pub(crate) struct StreamTasks {
    idle: RefCell<FreeList<Idle<Opened>>>,
}

impl StreamTasks {
    /// Has a task serve this stream to its end.
    pub(super) fn serve(&self, stream: Opened) {
        let idle = self.idle.borrow_mut().take();
        match idle {
            Some(idle) => idle.go_on(stream),
            None => drop(tokio::task::spawn_local(run(StreamTask::new(stream)))),
        }
    }

    /// Ends half of those tasks that nobody has needed since the last time. To be called a few times a second.
    pub(crate) fn thin(&self) {
        self.idle.borrow_mut().thin();
    }
}

/// What a task and its worker share.
#[derive(Debug)]
struct StreamTask<S> {
    stream: RefCell<Option<S>>,
    /// Waits for its next stream: others may still wake it for the sake of the last one.
    waits: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<S> StreamTask<S> {
    fn new(stream: S) -> Rc<Self> {
        let (stream, waits, waker) = (RefCell::new(Some(stream)), Cell::new(false), RefCell::default());
        Rc::new(Self { stream, waits, waker })
    }

    /// The next stream; `None`: there will be none.
    fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<S>> {
        if !self.waits.get() {
            return Poll::Ready(self.stream.take());
        }
        self.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// A task that waits for its next stream. Dropped, it goes on: with what it was given, or to its end.
#[derive(Debug)]
struct Idle<S> {
    task: Rc<StreamTask<S>>,
}

impl<S> Idle<S> {
    fn new(task: Rc<StreamTask<S>>) -> Self {
        task.waits.set(true);
        Self { task }
    }

    fn go_on(self, stream: S) {
        self.task.stream.replace(Some(stream));
    }
}

impl<S> Drop for Idle<S> {
    fn drop(&mut self) {
        self.task.waits.set(false);
        if let Some(waker) = self.task.waker.take() {
            waker.wake();
        }
    }
}

async fn run(task: Rc<StreamTask<Opened>>) {
    while let Some(stream) = poll_fn(|cx| task.poll_next(cx)).await {
        let worker = Rc::clone(stream.worker());
        stream.serve().await;
        worker.stream_tasks.idle.borrow_mut().give(Idle::new(Rc::clone(&task)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a task finds that is woken.
    fn look(task: &StreamTask<u32>) -> Poll<Option<u32>> {
        task.poll_next(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_task_goes_on_with_the_next_stream_or_to_its_end_and_is_not_misled_by_who_still_wakes_it() {
        let task = StreamTask::new(1);
        assert_eq!(look(&task), Poll::Ready(Some(1)));
        let idle = Idle::new(Rc::clone(&task));
        assert_eq!([look(&task), look(&task)], [Poll::Pending; 2]);
        idle.go_on(2);
        assert_eq!(look(&task), Poll::Ready(Some(2)));
        drop(Idle::new(Rc::clone(&task)));
        assert_eq!(look(&task), Poll::Ready(None));
    }
}
