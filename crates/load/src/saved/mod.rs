//! Saved results, ours and fortio's: read again, and laid side by side (`table`) or written as one document (`json`).

mod json;
mod table;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

pub use json::document;
pub use table::table;

/// What a saved result says about its run. Times are in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// Where it was read.
    pub name: String,
    started: Option<Timestamp>,
    labels: String,
    url: String,
    asked: String,
    connections: u64,
    calls: u64,
    errors: u64,
    rate: f64,
    duration: f64,
    average: f64,
    longest: f64,
    percentiles: Vec<(f64, f64)>,
    /// Exact ones, of our own.
    exact: Vec<(f64, f64)>,
    /// The same, since each call was due.
    from_due: Vec<(f64, f64)>,
    sockets: Option<u64>,
    codes: BTreeMap<String, u64>,
}

/// Why a text is no saved result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// Not JSON, or not of this shape.
    #[error("not a result that load or fortio saved with -json or -a: {0}")]
    Shape(#[from] serde_json::Error),
    /// A run that failed before its first call.
    #[error("the run did not take place: {0}")]
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default)]
    labels: String,
    #[serde(default)]
    start_time: String,
    #[serde(rename = "RequestedQPS", default)]
    requested_qps: String,
    #[serde(default)]
    requested_duration: String,
    #[serde(rename = "ActualQPS")]
    actual_qps: f64,
    actual_duration: f64,
    num_threads: u64,
    duration_histogram: Distribution,
    errors_duration_histogram: Option<Distribution>,
    #[serde(default)]
    ret_codes: BTreeMap<String, u64>,
    #[serde(rename = "URL", default)]
    url: String,
    /// Of runs that are not HTTP.
    #[serde(default)]
    destination: String,
    socket_count: Option<u64>,
    #[serde(rename = "fuseboard", default)]
    ours: Ours,
    #[serde(rename = "error", default)]
    is_error: bool,
    #[serde(rename = "message", default)]
    message: String,
    #[serde(rename = "exception", default)]
    exception: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Distribution {
    count: u64,
    avg: f64,
    max: f64,
    percentiles: Option<Vec<Percentile>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Percentile {
    percentile: f64,
    value: f64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ours {
    latency: Vec<Exact>,
    latency_from_due: Vec<Exact>,
}

#[derive(Deserialize)]
struct Exact {
    percentile: f64,
    seconds: f64,
}

impl Saved {
    /// Reads what was saved under `name`.
    pub fn read(name: impl Into<String>, text: &str) -> Result<Self, SavedError> {
        let document: Document = serde_json::from_str(text)?;
        if document.is_error {
            let Document { message, exception, .. } = document;
            return Err(SavedError::Failed(format!("{message} {exception}").trim().to_owned()));
        }
        let Document { duration_histogram: all, errors_duration_histogram: errors, ours, .. } = document;
        let asked = match document.requested_qps.as_str() {
            "" => document.requested_duration,
            rate => format!("{rate} qps, {}", document.requested_duration),
        };
        let exact = |list: Vec<Exact>| list.iter().map(|one| (one.percentile, one.seconds)).collect();
        let guessed = all.percentiles.unwrap_or_default();
        Ok(Self {
            name: name.into(),
            started: document.start_time.parse().ok(),
            labels: document.labels,
            url: if document.url.is_empty() { document.destination } else { document.url },
            asked,
            connections: document.num_threads,
            calls: all.count,
            errors: errors.map_or(0, |errors| errors.count),
            rate: document.actual_qps,
            duration: document.actual_duration / 1e9,
            average: all.avg,
            longest: all.max,
            percentiles: guessed.iter().map(|one| (one.percentile, one.value)).collect(),
            exact: exact(ours.latency),
            from_due: exact(ours.latency_from_due),
            sockets: document.socket_count,
            codes: document.ret_codes,
        })
    }

    /// When the run began; for putting runs in order.
    pub fn started(&self) -> Option<Timestamp> {
        self.started
    }
}

/// How much more `now` is than `before`, in percent; `None` where there was nothing.
fn change(before: f64, now: f64) -> Option<f64> {
    (before > 0.0).then(|| 100.0 * (now - before) / before)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = include_str!("../../tests/golden/fortio.json");
    const OURS: &str = include_str!("../../tests/golden/result.json");

    fn saved(name: &str, text: &str) -> Saved {
        Saved::read(name, text).unwrap()
    }

    /// Ours, made twice as slow and with other codes.
    fn slower() -> Saved {
        let mut slower = saved("slower.json", OURS);
        (slower.rate, slower.average, slower.longest) = (slower.rate / 2.0, slower.average * 2.0, 0.09);
        slower.codes = [("200".to_owned(), 6)].into();
        slower.errors = 0;
        slower
    }

    #[test]
    fn fortio_s_and_ours_are_read_alike() {
        let theirs = saved("theirs.json", THEIRS);
        assert!(theirs.calls > 0 && theirs.percentiles.len() == 5 && theirs.started.is_some());
        let ours = saved("ours.json", OURS);
        assert_eq!((ours.calls, ours.errors, ours.sockets), (6, 2, Some(3)));
    }

    #[test]
    fn one_result_is_a_list_of_what_counts() {
        assert_eq!(table(&[saved("sample.json", OURS)]), include_str!("../../tests/golden/report-one.txt"));
    }

    #[test]
    fn several_stand_side_by_side_with_the_change_against_the_first() {
        let both = [saved("sample.json", OURS), slower()];
        assert_eq!(table(&both), include_str!("../../tests/golden/report-two.txt"));
    }

    #[test]
    fn as_json_each_result_says_how_it_changed() {
        let document = document(&[saved("sample.json", OURS), slower()]);
        assert_eq!(document["results"][0].get("change"), None);
        assert_eq!(document["results"][1]["change"]["qps"], -50.0);
        assert_eq!(document["results"][1]["change"]["average"], 100.0);
        assert_eq!(document["results"][0]["codes"]["503"], 1);
    }

    #[test]
    fn what_is_no_result_is_told_from_a_run_that_failed() {
        assert!(matches!(Saved::read("x", "{}"), Err(SavedError::Shape(_))));
        assert!(matches!(Saved::read("x", "nothing"), Err(SavedError::Shape(_))));
        let mut failed: serde_json::Value = serde_json::from_str(OURS).unwrap();
        failed["error"] = true.into();
        failed["message"] = "warmup error".into();
        let error = Saved::read("x", &failed.to_string()).unwrap_err();
        assert_eq!(error.to_string(), "the run did not take place: warmup error");
    }
}
