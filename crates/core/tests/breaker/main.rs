//! The breaker judged from outside, as arithmetic: each trip condition, each way out of each state, and the pains it cures.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod orders;
mod policies;
mod recovering;
mod rig;
mod tripping;
