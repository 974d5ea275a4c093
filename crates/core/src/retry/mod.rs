//! Whether a failed try is made again, and after how long. Choosing its host is `balance`'s, the limit on retries `limit`'s, sending it the proxy's.

mod backoff;
mod policy;
mod state;

pub use backoff::Backoff;
pub use policy::{RetryOn, RetryPolicy};
pub use state::{Answer, RetryDecision, RetryState};
