//! The step after the last try: another answer in place of a failure, before a byte of one went to the client. Which failures
//! and which steps is `core::fallback`'s decision. What failed stays counted where it failed; only the client sees the other
//! answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::Instant;
use fuseboard_core::fallback::{
    FailureWord, FallbackPolicy, Lookup, Situation, Skip, StaticAnswer, Step, StepKind, Template, Trigger,
    Values, Verdict,
};
use fuseboard_http1::HeaderName;

use super::account::Account;
use super::answer_out::Out;
use super::attempt::Tried;
use super::metrics::Measured;
use super::retry::Retries;
use super::route::Routed;
use super::{Ended, Exchange};
use crate::clock;
use crate::deadline::Timer;
use crate::fallback::{key, request_facts, value_of};
use crate::live::ClusterView;
use crate::local_reply::Cause;
use crate::upstream::millis;

/// The name under which an answer tells that it is not its destination's own.
pub(super) const FALLBACK: &[u8] = b"x-fuseboard-fallback";

/// What an answer of another cluster says of itself, and that one runs.
pub(super) struct StandIn {
    pub(super) header: String,
}

/// The way of one request through its chain.
struct Chain<'e> {
    view: &'e Arc<ClusterView>,
    policy: &'e FallbackPolicy,
    trigger: Trigger,
    /// The steps so far, and why they did not answer: `cached:miss`.
    before: Vec<String>,
}

impl Chain<'_> {
    fn note(&mut self, step: &Step, why: &str) {
        self.before.push(format!("{}:{why}", step.kind.word()));
    }

    /// `cached; age=42; cause=breaker.open; after="service:timeout"`
    fn header(&self, step: &str, age: Option<Duration>) -> String {
        let age = age.map(|age| format!("; age={}", age.as_secs())).unwrap_or_default();
        let mut header = format!("{step}{age}; cause={}", self.trigger);
        if !self.before.is_empty() {
            header.extend(["; after=\"", &self.before.join(", "), "\""]);
        }
        header
    }
}

/// What a step came to.
enum Came {
    /// The client has its answer, or nobody is there to have one.
    Ended(Ended),
    /// The next step is due; why, in a word.
    Nothing(String),
}

/// How an end is called that a chain may be for.
fn trigger(ended: Ended) -> Option<Trigger> {
    let cause = match ended {
        Ended::Replaceable(trigger) => return Some(trigger),
        Ended::Failed(cause) => cause,
        Ended::Answered | Ended::Broken(_) | Ended::Gone => return None,
    };
    if let Some(reason) = cause.row().reason {
        return Some(Trigger::Refused(reason));
    }
    let word = match cause {
        Cause::ConnectFailed | Cause::ConnectTimeout | Cause::ConnectLocal => FailureWord::ConnectFailure,
        Cause::ConnectionTermination | Cause::CutInHead | Cause::RemoteReset | Cause::StreamRefused => {
            FailureWord::Reset
        }
        Cause::ProtocolError => FailureWord::ProtocolError,
        Cause::RouteTimeout | Cause::TryTimeout | Cause::MaxDuration | Cause::MaxDurationInRequest => {
            FailureWord::Timeout
        }
        _ => return None,
    };
    Some(Trigger::Failed(word))
}

impl Exchange<'_> {
    /// Whether a step may need all of the request's body.
    pub(super) fn keeps_body(&self, routed: &Routed) -> bool {
        let Some(fallback) = &routed.cluster.view.config.fallback else { return false };
        let (policy, head) = (&fallback.policy, self.head());
        policy.may_send_again() && policy.matching.matches(head.method_bytes(), head.path())
    }

    /// Looks for another answer. `ended` stands where the chain is not for it, or none of its steps helps.
    pub(super) async fn fall_back(
        &mut self,
        routed: &Routed,
        ended: Ended,
        visited: &mut Vec<usize>,
    ) -> Ended {
        let view = Arc::clone(&routed.cluster.view);
        let Some(fallback) = &view.config.fallback else { return ended };
        let policy = &fallback.policy;
        let Some(trigger) = trigger(ended).filter(|_| !self.upgrade_offered()) else { return ended };
        let head = self.head();
        if !policy.applies(trigger, head.method_bytes(), head.path()) {
            return ended;
        }
        self.settle(ended);
        self.count_fallback(&view, |block| block.chain.triggered.inc());
        let mut chain = Chain { view: &view, policy, trigger, before: Vec::new() };
        for (index, step) in policy.steps.iter().enumerate() {
            match self.step(routed, &mut chain, (index, step), visited).await {
                Came::Ended(ended) => {
                    if ended == Ended::Answered {
                        self.count_fallback(&view, |block| block.chain.answered.inc());
                    }
                    return ended;
                }
                Came::Nothing(why) if why.is_empty() => {}
                Came::Nothing(why) => chain.note(step, &why),
            }
        }
        self.count_fallback(&view, |block| block.chain.exhausted.inc());
        self.account.fallback_in_vain = Some(chain.header("none", None).into());
        ended
    }

    /// Tries one step, if it may be tried now.
    async fn step(
        &mut self,
        routed: &Routed,
        chain: &mut Chain<'_>,
        (index, step): (usize, &Step),
        visited: &mut Vec<usize>,
    ) -> Came {
        let head = self.head();
        let situation = Situation {
            trigger: chain.trigger,
            method: head.method_bytes(),
            path: head.path(),
            body_kept: self.body.replayable,
            grpc: self.may_be_answered_in_grpc(),
            time_left: self.account.time_left(self.now, self.body.decoder.is_complete()),
            visited,
        };
        let timeout = match chain.policy.judge(index, &situation) {
            Verdict::Take { timeout } => timeout,
            Verdict::Skip(skip) => {
                self.count_skip(chain.view, skip);
                return Came::Nothing(skip.token().unwrap_or_default().to_owned());
            }
        };
        let live = chain.view.fallback.clone();
        let permit = live.as_ref().and_then(|live| live.cap(index)?.try_enter(step.max_concurrent));
        let Some(_permit) = permit else {
            self.count_fallback(chain.view, |block| block.step(&step.kind).refused.inc());
            return Came::Nothing("full".to_owned());
        };
        self.count_fallback(chain.view, |block| block.step(&step.kind).attempt.inc());
        let came = match &step.kind {
            StepKind::Cached { max_age } => self.answer_from_cache(chain, *max_age).await,
            StepKind::Static(answer) => self.answer_as_written(chain, answer).await,
            StepKind::Service { target, .. } => {
                visited.push(*target);
                self.ask_another(routed, chain, (*target, timeout), visited).await
            }
        };
        self.count_fallback(chain.view, |block| match &came {
            Came::Ended(Ended::Answered) => block.step(&step.kind).success.inc(),
            // Who went away says nothing of the step.
            Came::Ended(Ended::Gone) => {}
            Came::Ended(_) | Came::Nothing(_) => block.step(&step.kind).failure.inc(),
        });
        came
    }

    /// The last good answer to the same request.
    async fn answer_from_cache(&mut self, chain: &Chain<'_>, max_age: Duration) -> Came {
        let headers = chain.policy.cache.as_ref().map(|cache| cache.headers.as_slice()).unwrap_or_default();
        let head = self.head();
        let facts = request_facts(&head, headers);
        let Some(oldest) = facts.oldest() else { return Came::Nothing("unwanted".to_owned()) };
        self.now = clock::now();
        let head = self.head();
        let lookup = Lookup { max_age, oldest };
        let live = chain.view.fallback.as_ref();
        let found =
            live.and_then(|live| live.find(&key(&head), lookup, |name| value_of(&head, name), self.now));
        let Some(hit) = found else { return Came::Nothing("miss".to_owned()) };
        let header = chain.header("cached", Some(hit.age));
        let out = Out {
            status: hit.answer.status,
            reason: &hit.answer.reason,
            fields: &hit.answer.fields,
            has_date: hit.answer.has_date,
            body: &hit.answer.body,
            told_length: hit.answer.told_length,
            trailers: None,
            cached: Some((hit.age, hit.stale_by)),
            fallback: Some(&header),
            replaces: true,
            by_us: false,
        };
        Came::Ended(self.write_out(&out).await)
    }

    /// The answer that is written in the rule.
    async fn answer_as_written(&mut self, chain: &Chain<'_>, answer: &StaticAnswer) -> Came {
        let templates = answer.templates();
        let id = if templates.into_iter().any(Template::asks_for_request_id) {
            self.harmless_request_id()
        } else {
            String::new()
        };
        let reason = chain.trigger.to_string();
        let host = &chain.view.config.service.host;
        let values = Values { host, reason: &reason, request_id: &id };
        let header = chain.header("static", None);
        if self.may_be_answered_in_grpc() {
            return Came::Ended(self.write_call(answer, &values, &header).await);
        }
        let (mut fields, mut body) = (Vec::new(), Vec::new());
        for field in &answer.fields {
            write_field(field, &values, &mut fields);
        }
        answer.body.render(&values, &mut body);
        let out = Out {
            status: answer.status,
            reason: fuseboard_http1::write::reason(answer.status).as_bytes(),
            fields: &fields,
            has_date: false,
            body: &body,
            told_length: None,
            trailers: None,
            cached: None,
            fallback: Some(&header),
            replaces: true,
            by_us: true,
        };
        Came::Ended(self.write_out(&out).await)
    }

    /// The answer of another cluster, under its own limits, breaker and fallback.
    async fn ask_another(
        &mut self,
        routed: &Routed,
        chain: &Chain<'_>,
        (target, timeout): (usize, Option<Duration>),
        visited: &mut Vec<usize>,
    ) -> Came {
        let Some(other) = routed.to(target) else { return Came::Nothing("gone".to_owned()) };
        self.now = clock::now();
        for timer in [Timer::Route, Timer::Try, Timer::Pause] {
            self.down.timers.disarm(timer);
        }
        self.body.sent = self.head_length;
        let header = chain.header("service", None);
        let stand_in = Box::new(StandIn { header: header.clone() });
        let outer_stand_in = self.stand_in.replace(stand_in);
        let account = Account::of_step(&self.account, self.now, timeout);
        let outer = std::mem::replace(&mut self.account, account);
        self.account.route(&other);
        self.arm_timeout(timeout);
        let (began, sent) = (self.now, self.down.sent());
        let mut retries = Retries::none(other.tier());
        let mut ended = match self.attempt(&other, &mut retries).await {
            Tried::Ended(ended) => ended,
            // There is no policy that could ask for one.
            Tried::Retry(_) => Ended::Failed(Cause::ConnectFailed),
        };
        self.settle(ended);
        if matches!(ended, Ended::Failed(_) | Ended::Replaceable(_)) {
            ended = Box::pin(self.fall_back(&other, ended, visited)).await;
        }
        for timer in [Timer::Route, Timer::Try] {
            self.down.timers.disarm(timer);
        }
        match ended {
            Ended::Broken(cause) => {
                self.account.fail(cause);
                self.count_cause(cause);
            }
            Ended::Gone => self.account.gone(),
            Ended::Answered | Ended::Failed(_) | Ended::Replaceable(_) => {}
        }
        self.count_step(began, sent);
        let inner = std::mem::replace(&mut self.account, outer);
        self.stand_in = outer_stand_in;
        self.account.take_over(&inner);
        match ended {
            Ended::Failed(cause) => {
                let trigger =
                    trigger(ended).map_or_else(|| cause.row().details.to_owned(), |why| why.to_string());
                // What the client did wrong no step makes right.
                if client_is_at_fault(cause) { Came::Ended(ended) } else { Came::Nothing(trigger) }
            }
            Ended::Replaceable(trigger) => Came::Nothing(trigger.to_string()),
            Ended::Answered | Ended::Broken(_) => {
                self.account.replaced_by(inner.status(), &header);
                Came::Ended(ended)
            }
            Ended::Gone => Came::Ended(ended),
        }
    }

    /// Arms the time of a step, once the request is complete.
    fn arm_timeout(&mut self, timeout: Option<Duration>) {
        if let Some(timeout) = timeout.filter(|_| self.body.decoder.is_complete()) {
            self.down.timers.arm(Timer::Route, self.now + timeout);
        }
    }

    /// Istio's metrics of the cluster that was asked: to it this was a request like others.
    fn count_step(&mut self, began: Instant, sent: u64) {
        self.now = clock::now();
        let measured = Measured {
            millis: millis(self.now.saturating_since(began)),
            received: self.head_length as u64 + self.body.decoder.content_bytes(),
            sent: self.down.sent() - sent,
        };
        self.count_messages();
        self.count_measured(&measured);
    }

    /// Counts a failure where it happened, once; what the client sees of it comes later.
    fn settle(&mut self, ended: Ended) {
        let Ended::Failed(cause) = ended else { return };
        if std::mem::replace(&mut self.account.settled, true) {
            return;
        }
        self.account.fail(cause);
        if self.is_grpc() {
            // What it would have been told, which the metrics count.
            self.account.shows(200);
            self.account.told_in_grpc(self.code_of(cause));
        }
        if cause.is_of_cluster() {
            self.account.cluster_stats(&self.worker, |block| block.codes.inc(cause.row().status));
        }
        self.count_cause(cause);
    }

    fn count_fallback(&self, view: &ClusterView, count: impl FnOnce(&crate::stats::FallbackBlock)) {
        count(&view.live.stats.shard(self.worker.index).fallback);
    }

    fn count_skip(&self, view: &ClusterView, skip: Skip) {
        self.count_fallback(view, |block| match skip {
            Skip::BodyTooLarge => block.chain.body_too_large.inc(),
            Skip::Loop | Skip::TooManyHops => block.chain.loop_refused.inc(),
            Skip::NotMeant | Skip::Unsafe | Skip::NoTime | Skip::NotGrpc => {}
        });
    }

    /// The client's id of the request if it can do no harm in a text, else ours.
    fn harmless_request_id(&mut self) -> String {
        let harmless = |id: &[u8]| {
            (1..=128).contains(&id.len())
                && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        };
        let own = self.head().field(HeaderName::XRequestId).filter(|id| harmless(id)).map(<[u8]>::to_vec);
        let worker = Rc::clone(&self.worker);
        let id = own.unwrap_or_else(|| self.account.request_id(&worker).to_vec());
        String::from_utf8_lossy(&id).into_owned()
    }
}

/// A field of a written answer.
pub(super) fn write_field((name, value): &(Box<str>, Template), values: &Values<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    value.render(values, out);
    out.extend_from_slice(b"\r\n");
}

const fn client_is_at_fault(cause: Cause) -> bool {
    matches!(cause, Cause::BadBody | Cause::BodyTimeout)
}
