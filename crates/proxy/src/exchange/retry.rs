//! The step after a failed try: whether another one follows, under the retry limit, and the pause before it. A request whose body
//! can't be sent again is never tried again; a refusal by our own limit never comes here.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::FailureKind;
use fuseboard_core::breaker::Refusal;
use fuseboard_core::limit::{Refused, RetryPermit};
use fuseboard_core::pool::HostKey;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::retry::{Answer, RetryDecision, RetryPolicy, RetryState};
use fuseboard_snapshot::Route;

use super::attempt::Tried;
use super::breaker::{Checked, check_retry};
use super::{Ended, Exchange};
use crate::buffer::LARGE_SIZE;
use crate::clock;
use crate::deadline::Timer;
use crate::live::Tier;

/// The retries of one exchange. Costs nothing until a try fails.
pub(super) struct Retries<'t> {
    policy: Option<&'t Arc<RetryPolicy>>,
    keep: bool,
    state: Option<RetryState<HostKey>>,
    first_host: Option<HostKey>,
    permit: Option<RetryPermit<'t>>,
    /// What the breaker said of the try that comes next.
    checked: Option<Checked>,
    tier: &'t Tier,
}

/// Why a retry that was wanted is not made.
enum Denied {
    Limit(Refused),
    Breaker(Refusal),
}

impl<'t> Retries<'t> {
    /// `keep`: the body may be needed once more, whatever the policy says.
    pub(super) fn new(route: &'t Route, tier: &'t Tier, keep: bool) -> Self {
        Self {
            policy: route.retry.as_ref(),
            keep,
            state: None,
            first_host: None,
            permit: None,
            checked: None,
            tier,
        }
    }

    /// None; the body may be needed once more all the same.
    pub(super) const fn none(tier: &'t Tier) -> Self {
        Self { policy: None, keep: true, state: None, first_host: None, permit: None, checked: None, tier }
    }

    /// Whether the request may have to be sent again.
    pub(super) const fn may_send_again(&self) -> bool {
        self.keep || self.policy.is_some()
    }

    /// What the breaker said when the next try was decided upon; `None` before the first.
    pub(super) fn take_checked(&mut self) -> Option<Checked> {
        self.checked.take()
    }

    /// Remembers the host of a try.
    pub(super) fn note_host(&mut self, host: HostKey) {
        match &mut self.state {
            Some(state) => state.note_host(host),
            None => self.first_host = Some(host),
        }
    }

    pub(super) fn was_tried(&self, host: HostKey) -> bool {
        self.state.as_ref().is_some_and(|state| state.was_tried(&host))
    }

    /// How often the balancer is asked for a host that was not tried.
    pub(super) fn host_attempts(&self) -> u32 {
        self.state.as_ref().map_or(0, |state| state.policy().host_selection_attempts)
    }

    fn state(&mut self) -> Option<&mut RetryState<HostKey>> {
        let policy = self.policy?;
        if self.state.is_none() {
            let mut state = RetryState::new(Arc::clone(policy));
            if let Some(host) = self.first_host {
                state.note_host(host);
            }
            self.state = Some(state);
        }
        self.state.as_mut()
    }
}

/// A retry decision without its permit.
type Decision = Option<Duration>;

impl Exchange<'_> {
    /// Whether another try follows a failure; `ended` stands otherwise.
    pub(super) fn retry_after_failure(
        &mut self,
        retries: &mut Retries<'_>,
        kind: FailureKind,
        sent: bool,
        ended: Ended,
    ) -> Tried {
        let decision = self.decide(retries, |state, acquire, rng| state.on_failure(kind, sent, acquire, rng));
        decision.map_or(Tried::Ended(ended), Tried::Retry)
    }

    /// Whether another try follows an answer, which is dropped then.
    pub(super) fn retry_after_answer(&mut self, retries: &mut Retries<'_>, answer: Answer) -> Decision {
        // Nothing below looks at other answers: an exchange that goes well makes no retry state.
        let policy = retries.policy?;
        let concerns = answer.status >= 400
            || answer.grpc_status.is_some()
            || policy.retriable_status_codes.contains(&answer.status)
            || retries.state.is_some();
        if !concerns {
            return None;
        }
        self.decide(retries, |state, acquire, rng| state.on_answer(answer, acquire, rng))
    }

    fn decide<'t>(
        &mut self,
        retries: &mut Retries<'t>,
        ask: impl FnOnce(
            &mut RetryState<HostKey>,
            &dyn Fn() -> Result<(RetryPermit<'t>, Checked), Denied>,
            &mut fuseboard_core::Rng,
        ) -> RetryDecision<(RetryPermit<'t>, Checked), Denied>,
    ) -> Decision {
        // The try that just ended no longer counts against the limit, whether or not there can be another.
        retries.permit = None;
        if !self.body.replayable {
            return None;
        }
        let worker = std::rc::Rc::clone(&self.worker);
        let tier = retries.tier;
        let cluster = self.account.destination().map(std::rc::Rc::clone)?;
        let state = retries.state()?;
        let acquire = || {
            let permit = tier.limits.try_retry().map_err(Denied::Limit)?;
            let checked = check_retry(&cluster, self.now).map_err(Denied::Breaker)?;
            Ok((permit, checked))
        };
        let decision = ask(state, &acquire, &mut worker.rng.borrow_mut());
        match decision {
            RetryDecision::Retry { permit: (permit, checked), after } => {
                retries.permit = Some(permit);
                retries.checked = Some(checked);
                self.account.retried(&worker);
                return Some(after);
            }
            RetryDecision::NotWanted { succeeded } => {
                if succeeded {
                    self.account.cluster_stats(&worker, |block| block.stats.upstream_rq_retry_success.inc());
                }
            }
            RetryDecision::LimitExceeded => {
                self.account
                    .cluster_stats(&worker, |block| block.stats.upstream_rq_retry_limit_exceeded.inc());
                self.account.flag("URX");
            }
            RetryDecision::Overflow(Denied::Limit(refused)) => {
                self.account.cluster_stats(&worker, |block| block.stats.upstream_rq_retry_overflow.inc());
                self.note_refused_retry(RefusalReason::LimitRetries, Some(refused));
            }
            RetryDecision::Overflow(Denied::Breaker(refusal)) => self.retry_refused_by_breaker(refusal),
        }
        None
    }

    /// Waits before the next try, and makes the request ready to be sent again.
    pub(super) async fn pause(&mut self, pause: Duration) -> Result<(), Ended> {
        self.now = clock::now();
        self.down.timers.disarm(Timer::Try);
        self.down.timers.arm(Timer::Pause, self.now + pause);
        let interrupt = poll_fn(|cx| self.poll_interrupt(cx)).await;
        self.down.timers.disarm(Timer::Pause);
        self.now = clock::now();
        self.body.sent = self.head_length;
        match interrupt {
            super::Interrupt::Timer(Timer::Pause) => Ok(()),
            interrupt => Err(self.interrupted(interrupt)),
        }
    }

    /// Makes room in the input behind what was read of the body. Where a further try may need the sent part, the input grows up to
    /// a bound; beyond it the sent part is forgotten, and with it the chance of another try. False: there is no room.
    pub(super) fn make_body_room(&mut self, keep: bool) -> bool {
        let input = &mut self.down.input;
        if input.has_room() {
            return true;
        }
        let sent = self.body.sent - self.head_length;
        let keep = keep && self.body.replayable;
        if keep || sent == 0 {
            self.worker.buffers.enlarge(input);
            let has_room = input.make_room(LARGE_SIZE);
            if has_room || sent == 0 {
                return has_room;
            }
        }
        if keep {
            self.account.cluster_stats(&self.worker, |block| block.own.retry_body_too_large.inc());
        }
        self.body.replayable = false;
        self.down.input.remove(self.head_length, sent);
        self.body.sent = self.head_length;
        self.body.checked -= sent;
        let left = self.body.decoder.remaining();
        self.body.way.make_room(&self.worker.buffers, &mut self.down.input, left);
        true
    }
}
