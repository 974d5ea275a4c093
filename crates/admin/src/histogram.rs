//! Histograms as `/stats` shows them, in text and in JSON: quantiles, counts by Prometheus' bounds, or the buckets themselves.
//!
//! Envoy shows each twice: of the last flush interval, and of all time. We keep no interval, so the first is always empty.

use std::fmt::Write as _;

use fuseboard_stats::{Buckets, PROMETHEUS_BOUNDS, QUANTILES};

/// Envoy's names of [`QUANTILES`], in percent.
const QUANTILE_NAMES: [&str; 10] = ["0", "25", "50", "75", "90", "95", "99", "99.5", "99.9", "100"];
/// Envoy's spelling of [`PROMETHEUS_BOUNDS`] in texts.
const BOUND_NAMES: [&str; 19] = [
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000",
    "60000", "300000", "600000", "1.8e+06", "3.6e+06",
];

/// How histograms are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistogramView {
    /// Quantiles.
    Summary,
    /// Counts up to each bound.
    Cumulative,
    /// Counts between bounds.
    Disjoint,
    /// Counts of the buckets in use, and quantiles.
    Detailed,
}

/// `name: P0(nan,1.05) …`
pub(crate) fn text(out: &mut String, name: &str, buckets: &Buckets, view: HistogramView) -> std::fmt::Result {
    if buckets.count() == 0 {
        return writeln!(out, "{name}: No recorded values");
    }
    match view {
        HistogramView::Summary => writeln!(out, "{name}: {}", quantiles(buckets)),
        HistogramView::Cumulative | HistogramView::Disjoint => {
            let named = bounded(buckets, view).zip(BOUND_NAMES);
            let parts: Vec<String> = named.map(|((_, n), bound)| format!("B{bound}(0,{n})")).collect();
            writeln!(out, "{name}: {}", parts.join(" "))
        }
        HistogramView::Detailed => {
            let bins = buckets.bins().map(|(lower, width, n)| format!("{lower},{width}:{n}"));
            let totals = bins.collect::<Vec<_>>().join(", ");
            writeln!(out, "{name}:\n  totals={totals}\n  intervals=\n  summary={}", quantiles(buckets))
        }
    }
}

fn quantiles(buckets: &Buckets) -> String {
    let named = QUANTILE_NAMES.iter().zip(QUANTILES);
    let value = |q| buckets.quantile(q).unwrap_or(f64::NAN);
    named.map(|(name, q)| format!("P{name}(nan,{})", value(q))).collect::<Vec<_>>().join(" ")
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

/// One histogram as an element of the list in [`json_list`]; `name` is quoted.
pub(crate) fn json(name: &serde_json::Value, buckets: &Buckets, view: HistogramView) -> String {
    match view {
        HistogramView::Summary => {
            format!("{{\"name\":{name},\"values\":{}}}", json_quantiles(buckets))
        }
        HistogramView::Cumulative | HistogramView::Disjoint => {
            let values: Vec<String> = bounded(buckets, view)
                .map(|(bound, n)| format!("{{\"upper_bound\":{bound},\"interval\":0,\"cumulative\":{n}}}"))
                .collect();
            format!("{{\"name\":{name},\"buckets\":[{}]}}", values.join(","))
        }
        HistogramView::Detailed => {
            let totals: Vec<String> = buckets
                .bins()
                .map(|(lower, width, n)| {
                    format!("{{\"lower_bound\":{lower},\"width\":{width},\"count\":{n}}}")
                })
                .collect();
            let (totals, percentiles) = (totals.join(","), json_quantiles(buckets));
            format!(
                "{{\"name\":{name},\"totals\":[{totals}],\"intervals\":[],\"percentiles\":{percentiles}}}"
            )
        }
    }
}

fn json_quantiles(buckets: &Buckets) -> String {
    let value = |q| buckets.quantile(q).map_or_else(|| "null".to_owned(), |value: f64| value.to_string());
    let values = QUANTILES.map(|q| format!("{{\"cumulative\":{},\"interval\":null}}", value(q)));
    format!("[{}]", values.join(","))
}

/// The object that holds all histograms of a page.
pub(crate) fn json_list(histograms: &[String], view: HistogramView) -> String {
    let (list, names) = (histograms.join(","), QUANTILE_NAMES.join(","));
    match view {
        HistogramView::Summary => format!(
            "{{\"histograms\":{{\"supported_quantiles\":[{names}],\"computed_quantiles\":[{list}]}}}}"
        ),
        HistogramView::Cumulative | HistogramView::Disjoint => format!("{{\"histograms\":[{list}]}}"),
        HistogramView::Detailed => {
            format!("{{\"histograms\":{{\"supported_percentiles\":[{names}],\"details\":[{list}]}}}}")
        }
    }
}
