//! A copy of a good answer while it passes, for the cluster's fallbacks. What may be kept, and for whom, is
//! `core::fallback`'s decision; a cluster without such a step is not asked.

use std::sync::Arc;

use fuseboard_core::Instant;
use fuseboard_core::fallback::{Selecting, Storable, Stored, admit};
use fuseboard_http1::{Method, RequestHead, ResponseHead, ResponseSummary};

use crate::fallback::{Content, KeptAnswer, answer_facts, key, may_be_kept, request_facts, selecting};
use crate::live::ClusterView;

/// An answer that is being copied.
pub(super) struct Copy {
    key: Vec<u8>,
    selecting: Selecting,
    storable: Storable,
    answer: KeptAnswer,
    content: Content,
    came: Instant,
}

/// Begins a copy of an answer if it may be kept. Forgets what is kept where the answer says that this no longer holds.
pub(super) fn begin(
    view: &ClusterView,
    request: &RequestHead<'_>,
    head: &ResponseHead<'_>,
    answer: ResponseSummary,
    now: Instant,
) -> Option<Box<Copy>> {
    let (live, fallback) = (view.fallback.as_ref()?, view.config.fallback.as_ref()?);
    let policy = fallback.policy.cache.as_ref()?;
    let changes = !matches!(request.method(), Method::Get | Method::Head | Method::Options | Method::Trace);
    // RFC 9111 section 4.4; and what is not there any more is not to be found again.
    if (changes && answer.status < 400) || (!changes && matches!(answer.status, 404 | 410)) {
        live.invalidate(&key(request));
        return None;
    }
    let facts = request_facts(request, &policy.headers);
    if !may_be_kept(&facts) || !fallback.policy.matching.matches(request.method_bytes(), request.path()) {
        return None;
    }
    let (answered, vary) = answer_facts(head);
    let storable = admit(&facts, &answered).ok()?;
    let kept = KeptAnswer::of_head(head, false);
    let bound = policy.max_answer_bytes.checked_sub(kept.bytes())?;
    Some(Box::new(Copy {
        key: key(request),
        selecting: selecting(request, &policy.headers, vary),
        storable,
        content: Content::new(answer.framing, bound)?,
        answer: kept,
        came: now,
    }))
}

impl Copy {
    /// Takes bytes as they came. False: it is too large, and no longer of use.
    pub(super) fn take(&mut self, came: &[u8]) -> bool {
        self.content.take(came).is_ok_and(|taken| taken.is_some())
    }

    /// The answer is whole.
    pub(super) fn finish(mut self, view: &ClusterView) {
        if self.content.on_close().is_err() {
            return;
        }
        self.answer.body = self.content.into_bytes();
        let Some(live) = &view.fallback else { return };
        let stored = Stored {
            selecting: self.selecting,
            bytes: self.answer.bytes(),
            answer: Arc::new(self.answer),
            storable: self.storable,
        };
        // Its age counts from when its head came.
        live.keep(&view.config, &self.key, stored, self.came);
    }
}
