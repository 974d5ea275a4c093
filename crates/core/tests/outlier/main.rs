//! Outlier detection judged from outside: Envoy's measured tables, our differences, and random runs against a naive model.
#![cfg(not(loom))]
#![expect(clippy::panic, reason = "a panic is how a test fails")]

mod changes;
mod events;
mod model;
mod percentages;
mod random;
mod rig;
mod streaks;
mod times;
