//! Waits for a future on this very thread. A wake-up that is lost is a deadlock: loom reports it, a thread test panics
//! after a time that no honest wait takes.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[cfg(loom)]
use loom::sync::{Condvar, Mutex};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex};

struct Parker {
    woken: Mutex<bool>,
    bell: Condvar,
}

impl Parker {
    #[cfg(loom)]
    fn park(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.bell.wait(woken).unwrap();
        }
        *woken = false;
    }

    #[cfg(not(loom))]
    fn park(&self) {
        let patience = std::time::Duration::from_secs(60);
        let woken = self.woken.lock().unwrap();
        let (mut woken, waited) = self.bell.wait_timeout_while(woken, patience, |woken| !*woken).unwrap();
        assert!(!waited.timed_out(), "never woken");
        *woken = false;
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.bell.notify_one();
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let parker = Arc::new(Parker { woken: Mutex::new(false), bell: Condvar::new() });
    let waker = Waker::from(Arc::clone(&parker));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        parker.park();
    }
}
