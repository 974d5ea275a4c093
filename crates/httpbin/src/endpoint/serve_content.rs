//! Conditional requests and ranges (RFC 9110, sections 13 and 14) of content that is known whole, decided as Go's
//! `http.ServeContent` decides them.

use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::Request;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::caching::sendable;
use crate::random::Random;
use crate::reply::{self, Refusal};

/// What is served.
pub(super) struct Content<'a, F> {
    /// With its quotes; one without is sent, and matches nothing.
    pub(super) etag: &'a str,
    pub(super) modified: Option<SystemTime>,
    /// `Content-Type`.
    pub(super) kind: HeaderValue,
    pub(super) length: usize,
    /// The bytes from an offset up to another, both within the length.
    pub(super) bytes: F,
}

/// An answer, and how many bytes of the content it carries.
pub(super) struct Served {
    pub(super) response: Response<Body>,
    pub(super) carried: usize,
}

impl Served {
    fn nothing(response: Response<Body>) -> Self {
        Self { response, carried: 0 }
    }
}

/// The answer to a request for `content`.
pub(super) fn serve(
    request: &Request,
    content: Content<'_, impl Fn(usize, usize) -> Vec<u8>>,
    random: &mut Random,
) -> Result<Served, Refusal> {
    let wanted = Wanted { headers: request.headers(), method: request.method() };
    let etag = sendable(content.etag)?;
    let modified = content.modified.map(|time| sendable(&httpdate::fmt_http_date(time))).transpose()?;
    let with_validators = |status: StatusCode, body: Body| {
        let mut response = reply::bare(status, body);
        response.headers_mut().insert(ETAG, etag.clone());
        response
    };
    match wanted.precondition(content.etag, content.modified) {
        // The entity tag stands for the date.
        Precondition::NotModified => {
            return Ok(Served::nothing(with_validators(StatusCode::NOT_MODIFIED, Body::empty())));
        }
        Precondition::Failed => {
            let mut response = with_validators(StatusCode::PRECONDITION_FAILED, Body::empty());
            response.headers_mut().insert(CONTENT_TYPE, content.kind);
            response.headers_mut().extend(modified.map(|modified| (LAST_MODIFIED, modified)));
            return Ok(Served::nothing(response));
        }
        Precondition::Holds => {}
    }
    let ranges = match wanted.ranges(content.etag, content.modified, content.length) {
        Ok(ranges) => ranges,
        Err(problem) => return Ok(Served::nothing(unsatisfiable(problem, content.length))),
    };
    let length = content.length;
    let slice = |range: &Span| (content.bytes)(range.start, range.end);
    let (status, content_type, body) = match ranges.as_slice() {
        [] => (StatusCode::OK, content.kind, slice(&Span { start: 0, end: length })),
        [single] => (StatusCode::PARTIAL_CONTENT, content.kind, slice(single)),
        several => {
            let mut word = || random.next() >> 4;
            let boundary = format!("{:015x}{:015x}{:015x}{:015x}", word(), word(), word(), word());
            let kind = sendable(&format!("multipart/byteranges; boundary={boundary}"))?;
            let kind_of_part = content.kind.to_str().unwrap_or_default();
            let mut body = Vec::new();
            for (index, range) in several.iter().enumerate() {
                let line = if index == 0 { "" } else { "\r\n" };
                let shown = range.shown(length);
                let head = format!(
                    "{line}--{boundary}\r\nContent-Range: {shown}\r\nContent-Type: {kind_of_part}\r\n\r\n"
                );
                body.extend_from_slice(head.as_bytes());
                body.extend(slice(range));
            }
            body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            (StatusCode::PARTIAL_CONTENT, kind, body)
        }
    };
    let carried = if ranges.is_empty() { length } else { ranges.iter().map(Span::length).sum() };
    let sent = body.len();
    let mut response = with_validators(status, Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(sent));
    headers.extend(modified.map(|modified| (LAST_MODIFIED, modified)));
    if let [single] = ranges.as_slice() {
        headers.insert(CONTENT_RANGE, sendable(&single.shown(length))?);
    }
    Ok(Served { response, carried })
}

fn unsatisfiable(problem: BadRange, length: usize) -> Response<Body> {
    let line = match problem {
        BadRange::Syntax => "invalid range\n",
        BadRange::NoOverlap => "invalid range: failed to overlap\n",
    };
    let mut response = reply::typed(StatusCode::RANGE_NOT_SATISFIABLE, reply::TEXT, line);
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if problem == BadRange::NoOverlap
        && let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}"))
    {
        headers.insert(CONTENT_RANGE, range);
    }
    response
}

/// Bytes from `start` up to `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn length(&self) -> usize {
        self.end - self.start
    }

    fn shown(&self, length: usize) -> String {
        format!("bytes {}-{}/{length}", self.start, self.end.saturating_sub(1))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BadRange {
    Syntax,
    NoOverlap,
}

#[derive(Debug, PartialEq, Eq)]
enum Precondition {
    Holds,
    NotModified,
    Failed,
}

/// The headers that decide.
struct Wanted<'a> {
    headers: &'a HeaderMap,
    method: &'a Method,
}

impl Wanted<'_> {
    fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
    }

    fn reads(&self) -> bool {
        matches!(*self.method, Method::GET | Method::HEAD)
    }

    /// RFC 9110 section 13.2.2.
    fn precondition(&self, etag: &str, modified: Option<SystemTime>) -> Precondition {
        let if_match = match self.text(IF_MATCH) {
            Some(list) => Some(list_has(list, |tag| strongly_equal(tag, etag))),
            None => self
                .text(IF_UNMODIFIED_SINCE)
                .and_then(|date| httpdate::parse_http_date(date).ok())
                .zip(modified)
                .map(|(since, modified)| whole_seconds(modified) <= whole_seconds(since)),
        };
        if if_match == Some(false) {
            return Precondition::Failed;
        }
        if let Some(list) = self.text(IF_NONE_MATCH) {
            return match list_has(list, |tag| weakly_equal(tag, etag)) {
                true if self.reads() => Precondition::NotModified,
                true => Precondition::Failed,
                false => Precondition::Holds,
            };
        }
        let since = self.text(IF_MODIFIED_SINCE).filter(|_| self.reads());
        let since = since.and_then(|date| httpdate::parse_http_date(date).ok()).zip(modified);
        match since {
            Some((since, modified)) if whole_seconds(modified) <= whole_seconds(since) => {
                Precondition::NotModified
            }
            _ => Precondition::Holds,
        }
    }

    /// The ranges to send; none for all of it.
    fn ranges(&self, etag: &str, modified: Option<SystemTime>, length: usize) -> Result<Vec<Span>, BadRange> {
        let Some(text) = self.text(RANGE) else { return Ok(Vec::new()) };
        if self.reads() && self.text(IF_RANGE).is_some_and(|version| !is_version(version, etag, modified)) {
            return Ok(Vec::new());
        }
        let ranges = parse(text, length)?;
        // Whoever asks for more than there is, by overlaps, gets it whole.
        let sum = ranges.iter().map(Span::length).fold(0_usize, usize::saturating_add);
        Ok(if sum > length { Vec::new() } else { ranges })
    }
}

/// Whether `If-Range` names the version that there is.
fn is_version(text: &str, etag: &str, modified: Option<SystemTime>) -> bool {
    if let Some((tag, _)) = first_tag(text) {
        return strongly_equal(tag, etag);
    }
    let date = httpdate::parse_http_date(text).ok();
    date.zip(modified).is_some_and(|(date, modified)| whole_seconds(date) == whole_seconds(modified))
}

fn parse(text: &str, length: usize) -> Result<Vec<Span>, BadRange> {
    let ranges_text = text.strip_prefix("bytes=").ok_or(BadRange::Syntax)?;
    let mut ranges = Vec::new();
    let mut missed = false;
    for range in ranges_text.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (start, end) = range.split_once('-').ok_or(BadRange::Syntax)?;
        let (start, end) = (start.trim(), end.trim());
        let number = |text: &str| text.parse::<usize>().map_err(|_| BadRange::Syntax);
        if start.is_empty() {
            let count = number(end)?.min(length);
            ranges.push(Span { start: length - count, end: length });
            continue;
        }
        let start = number(start)?;
        let end = if end.is_empty() { None } else { Some(number(end)?) };
        if start >= length {
            missed = true;
            continue;
        }
        let end = match end {
            Some(end) if end < start => return Err(BadRange::Syntax),
            Some(end) => end.saturating_add(1).min(length),
            None => length,
        };
        ranges.push(Span { start, end });
    }
    if missed && ranges.is_empty() { Err(BadRange::NoOverlap) } else { Ok(ranges) }
}

/// Whether a list of entity tags is `*` or has one that fits.
fn list_has(list: &str, fits: impl Fn(&str) -> bool) -> bool {
    let mut rest = list.trim();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.starts_with('*') {
            return true;
        }
        let Some((tag, tail)) = first_tag(rest) else { return false };
        if fits(tag) {
            return true;
        }
        rest = tail;
    }
}

/// An entity tag at the start of `text`, with `W/` and quotes, and what follows.
fn first_tag(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let weak = if text.starts_with("W/") { 2 } else { 0 };
    let opaque = text[weak..].strip_prefix('"')?;
    let end = opaque.find('"')?;
    let is_good = opaque[..end].chars().all(|c| c == '!' || c > '"' && c != '\u{7F}');
    is_good.then(|| text.split_at(weak + end + 2))
}

fn strongly_equal(a: &str, b: &str) -> bool {
    a == b && a.starts_with('"')
}

fn weakly_equal(a: &str, b: &str) -> bool {
    a.strip_prefix("W/").unwrap_or(a) == b.strip_prefix("W/").unwrap_or(b)
}

/// Dates in HTTP have no fractions.
fn whole_seconds(time: SystemTime) -> Duration {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(text: &str, length: usize) -> Result<Vec<(usize, usize)>, BadRange> {
        parse(text, length).map(|spans| spans.iter().map(|span| (span.start, span.end)).collect())
    }

    #[test]
    fn ranges_are_cut_to_the_length() {
        assert_eq!(spans("bytes=0-4", 26), Ok(vec![(0, 5)]));
        assert_eq!(spans("bytes=20-", 26), Ok(vec![(20, 26)]));
        assert_eq!(spans("bytes=20-99", 26), Ok(vec![(20, 26)]));
        assert_eq!(spans("bytes=-5, 0-0,", 26), Ok(vec![(21, 26), (0, 1)]));
        assert_eq!(spans("bytes=-99", 26), Ok(vec![(0, 26)]));
        assert_eq!(spans("bytes=30-,1-1", 26), Ok(vec![(1, 2)]));
        assert_eq!(spans("bytes=", 26), Ok(vec![]));
    }

    #[test]
    fn what_is_no_range_or_nowhere_is_told_apart() {
        for text in ["0-4", "bytes=4", "bytes=x-", "bytes=-", "bytes=5-4", "bytes=--1", "bits=0-1"] {
            assert_eq!(spans(text, 26), Err(BadRange::Syntax), "{text}");
        }
        assert_eq!(spans("bytes=26-", 26), Err(BadRange::NoOverlap));
        assert_eq!(spans("bytes=0-", 0), Err(BadRange::NoOverlap));
    }

    fn precondition(method: &Method, headers: &[(HeaderName, &'static str)], etag: &str) -> Precondition {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let modified = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        Wanted { headers: &headers, method }.precondition(etag, Some(modified))
    }

    #[test]
    fn entity_tags_decide_before_dates() {
        let get = |headers: &[(HeaderName, &'static str)]| precondition(&Method::GET, headers, "\"a\"");
        assert_eq!(get(&[]), Precondition::Holds);
        assert_eq!(get(&[(IF_NONE_MATCH, "\"b\", W/\"a\"")]), Precondition::NotModified);
        assert_eq!(get(&[(IF_NONE_MATCH, "*")]), Precondition::NotModified);
        assert_eq!(get(&[(IF_NONE_MATCH, "\"b\"")]), Precondition::Holds);
        assert_eq!(get(&[(IF_MATCH, "\"b\"")]), Precondition::Failed);
        assert_eq!(get(&[(IF_MATCH, "W/\"a\"")]), Precondition::Failed);
        assert_eq!(get(&[(IF_MATCH, "\"b\",\"a\"")]), Precondition::Holds);
        assert_eq!(precondition(&Method::POST, &[(IF_NONE_MATCH, "*")], "\"a\""), Precondition::Failed);
    }

    #[test]
    fn dates_decide_where_no_entity_tag_is_named() {
        let get = |headers: &[(HeaderName, &'static str)]| precondition(&Method::GET, headers, "\"a\"");
        let (same, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sat, 05 Nov 1994 08:49:37 GMT");
        assert_eq!(get(&[(IF_MODIFIED_SINCE, same)]), Precondition::NotModified);
        assert_eq!(get(&[(IF_MODIFIED_SINCE, before)]), Precondition::Holds);
        assert_eq!(get(&[(IF_UNMODIFIED_SINCE, before)]), Precondition::Failed);
        assert_eq!(get(&[(IF_UNMODIFIED_SINCE, same)]), Precondition::Holds);
        assert_eq!(get(&[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, same)]), Precondition::Holds);
        assert_eq!(get(&[(IF_MODIFIED_SINCE, "yesterday")]), Precondition::Holds);
    }

    #[test]
    fn if_range_falls_back_to_all_of_it() {
        let modified = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").ok();
        assert!(is_version("\"a\"", "\"a\"", modified) && !is_version("\"b\"", "\"a\"", modified));
        assert!(is_version("Sun, 06 Nov 1994 08:49:37 GMT", "\"a\"", modified));
        assert!(!is_version("Sun, 06 Nov 1994 08:49:38 GMT", "\"a\"", modified));
        assert!(!is_version("range26", "range26", None));
    }
}
