//! Every decision the proxy makes, as deterministic state machines.
//!
//! Time and randomness are arguments ([`Instant`], [`Rng`]); nothing here logs, counts stats, reads a clock or does IO.
//! Transitions are return values: the adapter that calls a machine counts and logs them.

pub mod balance;
pub mod breaker;
pub mod classifier;
pub mod fallback;
pub mod limit;
pub mod outcome;
pub mod outlier;
pub mod pool;
pub mod published;
pub mod refusal;
pub mod retry;
pub mod rng;
mod sync;
pub mod tcp;
pub mod time;

pub use outcome::{FailureKind, Outcome};
pub use rng::Rng;
pub use time::Instant;
