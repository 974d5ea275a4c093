//! `/stats`: which stats, in which format; as text and JSON.

use std::fmt::Write as _;

use fuseboard_stats::{Kind, Reading, Row, Value};
use regex::Regex;

use crate::histogram::{self, HistogramView};
use crate::home;
use crate::page::Page;
use crate::prometheus;
use crate::query::Query;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Html,
    Json,
    Prometheus,
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
            Some("html") => Format::Html,
            Some("json") => Format::Json,
            Some("prometheus") => Format::Prometheus,
            Some(_) => return refused("usage: /stats?format=(html|json|prometheus|text)\n\n"),
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
            Some("detailed") => HistogramView::Detailed,
            Some(_) => {
                return refused("usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n");
            }
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
    let wanted = match StatsQuery::parse(query) {
        Ok(wanted) => wanted,
        Err(page) => return page,
    };
    let keep = |name: &str, row: &Row<'_>| !row.scope.labels_only() && wanted.accepts(name, row);
    match wanted.format {
        Format::Text => Page::text(text(reading, keep, wanted.histograms)),
        Format::Html => home::result_page("/stats", query, &text(reading, keep, wanted.histograms)),
        Format::Json => Page::json_text(json(reading, keep, wanted.histograms)),
        Format::Prometheus => for_prometheus(reading, &wanted, query),
    }
}

/// `/stats/prometheus`: the same in another format.
pub fn prometheus_page(reading: &Reading, query: &Query) -> Page {
    match StatsQuery::parse(query) {
        Ok(wanted) => for_prometheus(reading, &wanted, query),
        Err(page) => page,
    }
}

fn for_prometheus(reading: &Reading, wanted: &StatsQuery, query: &Query) -> Page {
    let summaries = match (wanted.histograms, query.has("histogram_buckets")) {
        (HistogramView::Cumulative, _) | (_, false) => false,
        (HistogramView::Summary, true) => true,
        _ => return Page::text_with(400, "unsupported prometheus histogram bucket mode"),
    };
    Page::text(prometheus::render(reading, summaries, |name, row| wanted.accepts(name, row)))
}

/// `name: value` lines.
fn text(reading: &Reading, keep: impl Fn(&str, &Row<'_>) -> bool, view: HistogramView) -> String {
    let mut out = String::new();
    reading.in_order(keep, |name, row| {
        let _ = match row.value {
            Value::Counter(value) | Value::Gauge(value) => writeln!(out, "{name}: {value}"),
            Value::Histogram(buckets) => histogram::text(&mut out, name, buckets, view),
        };
    });
    out
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
            Value::Histogram(buckets) => histograms.push(histogram::json(&quoted, buckets, view)),
        }
    });
    if !histograms.is_empty() {
        let _ = write!(out, "{separator}{}", histogram::json_list(&histograms, view));
    }
    out.push_str("]}");
    out
}
