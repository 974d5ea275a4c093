//! The synchronisation types of this crate: the standard library's, or loom's when the concurrency tests run (`cfg(loom)`).
//! Decides nothing; it exists so that loom runs the very files that ship.

#[cfg(loom)]
pub(crate) use loom::sync::atomic;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic;
