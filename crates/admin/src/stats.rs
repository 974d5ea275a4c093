//! `/stats` as text and JSON.

use std::fmt::Write as _;

use fuseboard_stats::{Buckets, Kind, PROMETHEUS_BOUNDS, QUANTILES, Reading, Row, Value};
use regex::Regex;

use crate::page::Page;
use crate::prometheus;
use crate::query::Query;

/// Envoy's names of [`QUANTILES`], in percent.
const QUANTILE_NAMES: [&str; 10] = ["0", "25", "50", "75", "90", "95", "99", "99.5", "99.9", "100"];
/// Envoy's spelling of [`PROMETHEUS_BOUNDS`] in texts.
const BOUND_NAMES: [&str; 19] = [
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000",
    "60000", "300000", "600000", "1.8e+06", "3.6e+06",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Prometheus,
}

/// How histograms are shown in text and JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistogramView {
    /// Quantiles.
    Summary,
    /// Counts up to each bound.
    Cumulative,
    /// Counts between bounds.
    Disjoint,
}

/// A request for stats.
#[derive(Debug)]
struct StatsQuery {
    format: Format,
    kind: Option<Kind>,
    no_kind: bool,
    used_only: bool,
    filter: Option<Regex>,
    invert: bool,
    histograms: HistogramView,
}

impl StatsQuery {
    fn parse(query: &Query) -> Result<Self, Page> {
        let refused = |text: &str| Err(Page::text_with(400, text));
        let format = match query.get("format") {
            None | Some("" | "text") => Format::Text,
            Some("json") => Format::Json,
            Some("prometheus") => Format::Prometheus,
            Some(_) => return refused("usage: /stats?format=(json|prometheus|text)\n\n"),
        };
        let (kind, no_kind) = match query.get("type") {
            None | Some("All") => (None, false),
            Some("Counters") => (Some(Kind::Counter), false),
            Some("Gauges") => (Some(Kind::Gauge), false),
            Some("Histograms") => (Some(Kind::Histogram), false),
            Some("TextReadouts") => (None, true),
            Some(_) => return refused("invalid &type= param"),
        };
        let histograms = match query.get("histogram_buckets") {
            None | Some("summary") => HistogramView::Summary,
            Some("cumulative") => HistogramView::Cumulative,
            Some("disjoint") => HistogramView::Disjoint,
            Some(_) => return refused("usage: /stats?histogram_buckets=(cumulative|disjoint|summary)\n"),
        };
        Ok(Self {
            format,
            kind,
            no_kind,
            used_only: query.has("usedonly"),
            filter: query.regex("filter")?,
            invert: query.has("invert_filter"),
            histograms,
        })
    }

    fn accepts(&self, name: &str, row: &Row<'_>) -> bool {
        !self.no_kind
            && self.kind.is_none_or(|kind| kind == row.value.kind())
            && (row.used || !self.used_only)
            && self.filter.as_ref().is_none_or(|filter| filter.is_match(name) != self.invert)
    }
}

/// `/stats`: `format`, `filter`, `invert_filter`, `type`, `usedonly` and `histogram_buckets` as in Envoy.
pub fn page(reading: &Reading, query: &Query) -> Page {
    match StatsQuery::parse(query) {
        Ok(wanted) => render(reading, &wanted),
        Err(page) => page,
    }
}

/// `/stats/prometheus`: the same in another format.
pub fn prometheus_page(reading: &Reading, query: &Query) -> Page {
    match StatsQuery::parse(query) {
        Ok(wanted) => render(reading, &StatsQuery { format: Format::Prometheus, ..wanted }),
        Err(page) => page,
    }
}

fn render(reading: &Reading, wanted: &StatsQuery) -> Page {
    let keep = |name: &str, row: &Row<'_>| wanted.accepts(name, row);
    match wanted.format {
        Format::Text => Page::text(text(reading, keep, wanted.histograms)),
        Format::Json => Page::json_text(json(reading, keep, wanted.histograms)),
        Format::Prometheus => Page::text(prometheus::render(reading, keep)),
    }
}

/// `name: value` lines.
fn text(reading: &Reading, keep: impl Fn(&str, &Row<'_>) -> bool, view: HistogramView) -> String {
    let mut out = String::new();
    reading.in_order(keep, |name, row| {
        let _ = match row.value {
            Value::Counter(value) | Value::Gauge(value) => writeln!(out, "{name}: {value}"),
            Value::Histogram(buckets) => writeln!(out, "{name}: {}", histogram_text(buckets, view)),
        };
    });
    out
}

/// `P0(nan,1.05) …`. Envoy's first number is of the last flush interval; we keep none, so it is always `nan`.
fn histogram_text(buckets: &Buckets, view: HistogramView) -> String {
    if buckets.count() == 0 {
        return "No recorded values".to_owned();
    }
    let parts: Vec<String> = match view {
        HistogramView::Summary => QUANTILE_NAMES
            .iter()
            .zip(QUANTILES)
            .map(|(name, q)| format!("P{name}(nan,{})", buckets.quantile(q).unwrap_or(f64::NAN)))
            .collect(),
        HistogramView::Cumulative | HistogramView::Disjoint => {
            bounded(buckets, view).zip(BOUND_NAMES).map(|((_, n), name)| format!("B{name}(0,{n})")).collect()
        }
    };
    parts.join(" ")
}

/// Counts by bound, each up to the bound or since the one before.
fn bounded(buckets: &Buckets, view: HistogramView) -> impl Iterator<Item = (f64, u64)> {
    let mut below = 0;
    PROMETHEUS_BOUNDS.into_iter().map(move |bound| {
        let up_to = buckets.count_up_to(bound);
        let before = std::mem::replace(&mut below, up_to);
        (bound, if view == HistogramView::Disjoint { up_to - before } else { up_to })
    })
}

/// One line: `{"stats":[{"name":…,"value":…},…,{"histograms":…}]}`.
fn json(reading: &Reading, keep: impl Fn(&str, &Row<'_>) -> bool, view: HistogramView) -> String {
    let mut out = String::from("{\"stats\":[");
    let mut histograms = Vec::new();
    let mut separator = "";
    reading.in_order(keep, |name, row| {
        let quoted = serde_json::Value::from(name);
        match row.value {
            Value::Counter(value) | Value::Gauge(value) => {
                let _ = write!(out, "{separator}{{\"name\":{quoted},\"value\":{value}}}");
                separator = ",";
            }
            Value::Histogram(buckets) => histograms.push(histogram_json(&quoted, buckets, view)),
        }
    });
    if !histograms.is_empty() {
        let list = histograms.join(",");
        let _ = match view {
            HistogramView::Summary => write!(
                out,
                "{separator}{{\"histograms\":{{\"supported_quantiles\":[{}],\"computed_quantiles\":[{list}]}}}}",
                QUANTILE_NAMES.join(",")
            ),
            HistogramView::Cumulative | HistogramView::Disjoint => {
                write!(out, "{separator}{{\"histograms\":[{list}]}}")
            }
        };
    }
    out.push_str("]}");
    out
}

fn histogram_json(name: &serde_json::Value, buckets: &Buckets, view: HistogramView) -> String {
    match view {
        HistogramView::Summary => {
            let values: Vec<String> = QUANTILES
                .iter()
                .map(|q| buckets.quantile(*q).map_or_else(|| "null".to_owned(), |value| value.to_string()))
                .map(|value| format!("{{\"cumulative\":{value},\"interval\":null}}"))
                .collect();
            format!("{{\"name\":{name},\"values\":[{}]}}", values.join(","))
        }
        HistogramView::Cumulative | HistogramView::Disjoint => {
            let values: Vec<String> = bounded(buckets, view)
                .map(|(bound, n)| format!("{{\"upper_bound\":{bound},\"interval\":0,\"cumulative\":{n}}}"))
                .collect();
            format!("{{\"name\":{name},\"buckets\":[{}]}}", values.join(","))
        }
    }
}
