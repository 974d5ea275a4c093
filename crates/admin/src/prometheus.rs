//! Prometheus text: families with one `# TYPE` each, labels as Istio's bootstrap extracts them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fuseboard_stats::{Buckets, Kind, PROMETHEUS_BOUNDS, QUANTILES, Reading, Row, RowId, Value};

/// The rows of `reading` that `keep` accepts by full name. Families are sorted by kind, then by name, as Envoy sorts them.
/// `summaries`: histograms are shown as quantiles.
pub fn render(reading: &Reading, summaries: bool, keep: impl Fn(&str, &Row<'_>) -> bool) -> String {
    let mut families: BTreeMap<(Kind, String), Vec<RowId>> = BTreeMap::new();
    let mut name = String::new();
    for id in reading.ids() {
        let row = reading.row(id);
        row.full_name(&mut name);
        if keep(&name, &row) {
            let family = format!("{}{}", row.scope.family(), row.name.family().0);
            families.entry((row.value.kind(), family)).or_default().push(id);
        }
    }
    let mut out = String::new();
    for ((kind, family), rows) in families {
        let summary = summaries && kind == Kind::Histogram;
        let _ = writeln!(out, "# TYPE {family} {}", if summary { "summary" } else { kind_name(kind) });
        for row in rows.into_iter().map(|id| reading.row(id)) {
            let labels = labels_text(&row);
            let _ = match row.value {
                Value::Counter(value) | Value::Gauge(value) => writeln!(out, "{family}{{{labels}}} {value}"),
                Value::Histogram(buckets) if summary => quantiles(&mut out, &family, &labels, buckets),
                Value::Histogram(buckets) => histogram(&mut out, &family, &labels, buckets),
            };
        }
    }
    out
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// The labels of the scope, then the one that the name carries.
fn labels_text(row: &Row<'_>) -> String {
    let (_, own) = row.name.family();
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    let labels = row.scope.labels().iter().map(|(name, value)| (*name, &**value)).chain(own);
    let written: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    written.join(",")
}

/// A label's value may hold anything but must escape these three.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn histogram(out: &mut String, family: &str, labels: &str, buckets: &Buckets) -> std::fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    for bound in PROMETHEUS_BOUNDS {
        let count = buckets.count_up_to(bound);
        writeln!(out, "{family}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}")?;
    }
    writeln!(out, "{family}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", buckets.count())?;
    sum_and_count(out, family, labels, buckets)
}

fn quantiles(out: &mut String, family: &str, labels: &str, buckets: &Buckets) -> std::fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    for quantile in QUANTILES {
        let value = buckets.quantile(quantile).map_or_else(|| "nan".to_owned(), significant);
        writeln!(out, "{family}{{{labels}{comma}quantile=\"{quantile}\"}} {value}")?;
    }
    sum_and_count(out, family, labels, buckets)
}

fn sum_and_count(out: &mut String, family: &str, labels: &str, buckets: &Buckets) -> std::fmt::Result {
    let count = buckets.count();
    writeln!(out, "{family}_sum{{{labels}}} {}", significant(buckets.sum()))?;
    writeln!(out, "{family}_count{{{labels}}} {count}")
}

/// Up to 32 significant digits without trailing zeros, as Envoy prints sums.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let whole_digits = format!("{:.0}", value.trunc()).len();
    let text = format!("{value:.*}", 32usize.saturating_sub(whole_digits));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_has_as_many_digits_as_in_envoy() {
        assert_eq!(significant(0.0), "0");
        assert_eq!(significant(12.0), "12");
        assert_eq!(significant(390.349_040_851_611_2), "390.34904085161122111458098515868");
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }
}
