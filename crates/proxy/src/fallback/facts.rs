//! What heads say that decides whether an answer may be kept, and for whom.

use fuseboard_core::fallback::{AnswerFacts, CacheControl, RequestFacts, Selecting, vary_names};
use fuseboard_http1::{HeaderName, Method, RequestHead, ResponseHead};

/// Fields of a request that say who sends it.
const IDENTITIES: [&[u8]; 4] =
    [b"authorization", b"cookie", b"proxy-authorization", b"x-forwarded-client-cert"];

/// What finds the answers to a target: authority in lower case, and the target without it.
pub(crate) fn key(head: &RequestHead<'_>) -> Vec<u8> {
    let mut key = head.authority().unwrap_or_default().to_ascii_lowercase();
    key.push(b' ');
    head.write_origin_target(&mut key);
    key
}

/// All values of a request's field, as one (RFC 9110 section 5.3).
pub(crate) fn value_of(head: &RequestHead<'_>, name: &[u8]) -> Option<Box<[u8]>> {
    let mut all: Option<Vec<u8>> = None;
    for field in head.fields().filter(|field| field.name.eq_ignore_ascii_case(name)) {
        match &mut all {
            None => all = Some(field.value.to_vec()),
            Some(all) => {
                all.extend_from_slice(b", ");
                all.extend_from_slice(field.value);
            }
        }
    }
    all.map(Vec::into_boxed_slice)
}

/// What of a request decides. `headers`: the fields that its key has.
pub(crate) fn request_facts(head: &RequestHead<'_>, headers: &[Box<str>]) -> RequestFacts {
    let mut facts = RequestFacts { get: head.method() == Method::Get, ..RequestFacts::default() };
    let in_key = |name: &[u8]| headers.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(name));
    for field in head.fields() {
        if field.name.eq_ignore_ascii_case(b"cache-control") {
            facts.control.add(field.value);
        } else if field.name.eq_ignore_ascii_case(b"pragma") {
            facts.control.no_cache |= field.value.eq_ignore_ascii_case(b"no-cache");
        } else if IDENTITIES.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
            facts.identified |= !in_key(field.name);
        }
    }
    facts
}

/// What of an answer decides, and the fields that its `Vary` names.
pub(crate) fn answer_facts(head: &ResponseHead<'_>) -> (AnswerFacts, Vec<Box<[u8]>>) {
    let mut facts = AnswerFacts { status: head.status(), ..AnswerFacts::default() };
    let mut names = Vec::new();
    for field in head.fields().filter(|field| field.id == HeaderName::Other) {
        if field.name.eq_ignore_ascii_case(b"cache-control") {
            facts.control = with(facts.control, field.value);
        } else if field.name.eq_ignore_ascii_case(b"set-cookie") {
            facts.sets_cookie = true;
        } else if field.name.eq_ignore_ascii_case(b"age") {
            facts.age = facts.age.max(AnswerFacts::age_of(field.value));
        } else if field.name.eq_ignore_ascii_case(b"vary") {
            match vary_names(field.value) {
                Some(more) => names.extend(more),
                None => facts.varies_by_anything = true,
            }
        }
    }
    (facts, names)
}

fn with(mut control: CacheControl, line: &[u8]) -> CacheControl {
    control.add(line);
    control
}

/// What an answer was chosen by: the fields of the rule, and those of `Vary`.
pub(crate) fn selecting(head: &RequestHead<'_>, headers: &[Box<str>], vary: Vec<Box<[u8]>>) -> Selecting {
    let mut names: Vec<Box<[u8]>> = headers.iter().map(|name| name.as_bytes().into()).chain(vary).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let value = value_of(head, &name);
            (name, value)
        })
        .collect()
}
