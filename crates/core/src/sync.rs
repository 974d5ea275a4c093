//! The synchronisation types of this crate: the standard library's, or loom's when the concurrency tests run (`cfg(loom)`).
//! Decides nothing; it exists so that loom runs the very files that ship.

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

use std::ops::Deref;
use std::sync::PoisonError;

/// Locks, also after a panic elsewhere: what these mutexes guard is consistent at every point that may unwind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value on cache lines of its own, so that a worker writing it disturbs nobody.
/// 128 bytes: x86 prefetches lines in pairs, and some arm64 cores have lines of that size.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);

impl<T> Deref for CachePadded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
