//! `/fuseboard/v1/refusals`: what `fuseboard why` reads. Version 1; fields are only ever added.

use std::time::{Duration, SystemTime};

use fuseboard_snapshot::Origin;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::page::Page;
use crate::query::Query;
use crate::status::RefusalRecord;

/// How far to look back when the request does not say.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(60);

/// The refusals of a window, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// 1
    pub version: u32,
    /// The window in milliseconds.
    pub window_ms: u64,
    /// Older refusals of the window were already overwritten in the proxy's ring, so counts are lower bounds.
    pub truncated: bool,
    /// One entry per refusal.
    pub refusals: Vec<Refusal>,
}

/// One refusal. Unknown or absent values are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Milliseconds before the reading.
    pub age_ms: u64,
    /// Envoy's name of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The listener that took the request.
    pub listener: String,
    /// Token of the closed list: `limit.queue_full`.
    pub reason: String,
    /// Envoy's response flag.
    pub flag: String,
    /// What the caller saw; 0 where there was no answer.
    pub status: u16,
    /// The limit's field: `http1MaxPendingRequests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// The bound that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<u32>,
    /// What counted against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u32>,
    /// Requests waiting at that moment.
    pub queue: u32,
    /// The rule that set the bound; absent: a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Why the breaker had opened, in words; absent where no breaker refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trip: Option<String>,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `DestinationRule`
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Path of the field.
    pub field: String,
    /// File; absent for what never was text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Line from 1; 0 without a file.
    pub line: u32,
    /// Column from 1; 0 without a file.
    pub column: u32,
}

impl From<&Origin> for Rule {
    fn from(origin: &Origin) -> Self {
        let place = origin.location.as_ref();
        Self {
            kind: origin.resource.kind.to_string(),
            namespace: origin.resource.namespace.to_string(),
            name: origin.resource.name.to_string(),
            field: origin.field.to_string(),
            file: place.map(|place| place.file.to_string()).unwrap_or_default(),
            line: place.map_or(0, |place| place.line),
            column: place.map_or(0, |place| place.column),
        }
    }
}

/// How far a request wants to look back: its parameter `last`, or [`DEFAULT_WINDOW`]. Fails with the page that says why.
pub fn window(query: &Query) -> Result<Duration, Page> {
    // a form sends the fields that were left empty too
    let Some(text) = query.get("last").filter(|text| !text.is_empty()) else { return Ok(DEFAULT_WINDOW) };
    humantime::parse_duration(text).map_err(|problem| {
        Page::text_with(400, format!("last={text}: {problem}; write for example 90s or 5m\n"))
    })
}

/// The page of `records` that are not older than `window` at `now`. `truncated`: the ring no longer holds all of them.
pub fn page(records: &[RefusalRecord], truncated: bool, window: Duration, now: SystemTime) -> Page {
    let age = |record: &RefusalRecord| now.duration_since(record.at).unwrap_or(Duration::ZERO);
    let refusals = records
        .iter()
        .filter(|record| age(record) <= window)
        .map(|record| Refusal {
            time: timestamp(record.at),
            age_ms: millis(age(record)),
            cluster: record.cluster.as_ref().map(ToString::to_string),
            listener: record.listener.to_string(),
            reason: record.reason.token().to_owned(),
            flag: record.flag.to_owned(),
            status: record.status,
            setting: record.setting.map(ToOwned::to_owned),
            bound: record.bound,
            value: record.value,
            queue: record.queue,
            rule: record.rule.as_deref().map(Rule::from),
            trip: record.trip.as_deref().map(str::to_owned),
        })
        .collect();
    Page::json(&Refusals { version: 1, window_ms: millis(window), truncated, refusals })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC with milliseconds, as Envoy writes times.
pub(crate) fn timestamp(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
