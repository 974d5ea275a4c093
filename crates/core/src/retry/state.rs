//! The retries of one exchange: after each try, whether there is another one. Asked only while nothing of an answer was sent
//! downstream; an exchange whose own time-out fired does not ask.

use std::sync::Arc;
use std::time::Duration;

use super::{Backoff, RetryOn, RetryPolicy};
use crate::outcome::FailureKind;
use crate::rng::Rng;

/// What a retry decision looks at in the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer's status.
    pub status: u16,
    /// `grpc-status` in the head (a trailers-only answer) of a gRPC request; `None`: not gRPC, or not there.
    pub grpc_status: Option<u32>,
    /// `x-envoy-ratelimited` was there: never retried, because no policy here asks for it.
    pub rate_limited: bool,
    /// A host that is believed says that it has not processed the request: another one may, whatever the request does.
    pub not_processed: bool,
}

/// Whether a try is made again. `P` is the permit that the limit on retries gave, `E` its refusal.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a retry holds a permit"]
pub enum RetryDecision<P, E> {
    /// Yes, after a wait: `upstream_rq_retry`, `upstream_rq_retry_backoff_exponential`. The answer, if any, is dropped and counts under `retry.`
    Retry {
        /// Held until the retry is decided upon in turn.
        permit: P,
        /// Wait this long first.
        after: Duration,
    },
    /// No condition asks for it. The answer or failure is final.
    NotWanted {
        /// An answer, and it came to a retry: `upstream_rq_retry_success`.
        succeeded: bool,
    },
    /// Wanted, but no retries are left: `upstream_rq_retry_limit_exceeded`, flag URX. The answer or failure is final.
    LimitExceeded,
    /// Wanted, but `maxRetries` was reached: `upstream_rq_retry_overflow`, flag UO. The answer, which is the upstream's own, is final.
    Overflow(E),
}

/// The retries of one exchange. `H` identifies hosts.
#[derive(Debug)]
pub struct RetryState<H> {
    policy: Arc<RetryPolicy>,
    remaining: u32,
    retried: bool,
    backoff: Backoff,
    tried: Vec<H>,
}

impl<H: PartialEq> RetryState<H> {
    /// Before the first try.
    pub fn new(policy: Arc<RetryPolicy>) -> Self {
        let backoff = Backoff::new(policy.base_interval, policy.max_interval);
        Self { remaining: policy.num_retries, retried: false, backoff, tried: Vec::new(), policy }
    }

    /// The policy it follows.
    pub fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Decides on an answer. `acquire` asks the limit on retries; it is called only when a retry is wanted and left, and must have
    /// let go of the permit of the try that just ended.
    pub fn on_answer<P, E>(
        &mut self,
        answer: Answer,
        acquire: impl FnOnce() -> Result<P, E>,
        rng: &mut Rng,
    ) -> RetryDecision<P, E> {
        if self.wants_after(answer) {
            self.retry(acquire, rng)
        } else {
            RetryDecision::NotWanted { succeeded: self.retried }
        }
    }

    /// Decides on a try that ended without an answer. `sent`: at least one byte of the request was written. `acquire` as above.
    pub fn on_failure<P, E>(
        &mut self,
        failure: FailureKind,
        sent: bool,
        acquire: impl FnOnce() -> Result<P, E>,
        rng: &mut Rng,
    ) -> RetryDecision<P, E> {
        if self.wants_after_failure(failure, sent) {
            self.retry(acquire, rng)
        } else {
            RetryDecision::NotWanted { succeeded: false }
        }
    }

    /// Remembers the host of a try, so that the next one can leave it out.
    pub fn note_host(&mut self, host: H) {
        self.tried.push(host);
    }

    /// Whether a try went to `host`. For [`crate::balance::Balancer::pick_except`], with the policy's `host_selection_attempts`.
    pub fn was_tried(&self, host: &H) -> bool {
        self.tried.contains(host)
    }

    fn wants(&self, condition: RetryOn) -> bool {
        self.policy.retry_on.contains(condition)
    }

    fn wants_after(&self, answer: Answer) -> bool {
        if answer.rate_limited {
            return false;
        }
        if answer.not_processed {
            return true;
        }
        let status = answer.status;
        let by_status = (self.wants(RetryOn::FIVE_XX) && (500..600).contains(&status))
            || (self.wants(RetryOn::GATEWAY_ERROR) && matches!(status, 502..=504))
            || (self.wants(RetryOn::RETRIABLE_4XX) && status == 409)
            || (self.wants(RetryOn::RETRIABLE_STATUS_CODES)
                && self.policy.retriable_status_codes.contains(&status));
        let by_grpc = match answer.grpc_status {
            Some(GRPC_CANCELLED) => self.wants(RetryOn::CANCELLED),
            Some(GRPC_UNAVAILABLE) => self.wants(RetryOn::UNAVAILABLE),
            _ => false,
        };
        by_status || by_grpc
    }

    fn wants_after_failure(&self, failure: FailureKind, sent: bool) -> bool {
        self.wants(RetryOn::RESET)
            || self.wants(RetryOn::FIVE_XX)
            || self.wants(RetryOn::GATEWAY_ERROR)
            || (self.wants(RetryOn::CONNECT_FAILURE) && failure.is_connect())
            || (self.wants(RetryOn::REFUSED_STREAM) && failure == FailureKind::StreamRefused)
            || (self.wants(RetryOn::RESET_BEFORE_REQUEST) && !sent)
    }

    /// Envoy's order: what is left is counted down before the limit is asked, so an overflow costs one of the retries.
    fn retry<P, E>(&mut self, acquire: impl FnOnce() -> Result<P, E>, rng: &mut Rng) -> RetryDecision<P, E> {
        let Some(remaining) = self.remaining.checked_sub(1) else { return RetryDecision::LimitExceeded };
        self.remaining = remaining;
        match acquire() {
            Ok(permit) => {
                self.retried = true;
                RetryDecision::Retry { permit, after: self.backoff.next_wait(rng) }
            }
            Err(refused) => RetryDecision::Overflow(refused),
        }
    }
}

const GRPC_CANCELLED: u32 = 1;
const GRPC_UNAVAILABLE: u32 = 14;
