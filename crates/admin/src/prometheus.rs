//! Prometheus text: families with one `# TYPE` each, labels as Istio's bootstrap extracts them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fuseboard_stats::{Buckets, Kind, PROMETHEUS_BOUNDS, Reading, Value};

/// A series: its labels, already written, and its value.
type Series<'a> = (String, &'a Value);

/// All stats of `reading`. Families are sorted by kind, then by name, as Envoy sorts them.
pub fn render(reading: &Reading) -> String {
    let mut families: BTreeMap<(Kind, String), Vec<Series<'_>>> = BTreeMap::new();
    for row in reading.rows() {
        let scope = reading.scope_of(row);
        let (family, own_label) = row.name.family();
        let own_label = own_label.as_ref().map(|(name, value)| (*name, value));
        let labels = scope.labels().iter().map(|(name, value)| (*name, value)).chain(own_label);
        let key = (row.value.kind(), format!("{}{family}", scope.family()));
        families.entry(key).or_default().push((labels_text(labels), &row.value));
    }
    let mut out = String::new();
    for ((kind, family), series) in families {
        let _ = writeln!(out, "# TYPE {family} {}", kind_name(kind));
        for (labels, value) in series {
            let _ = match value {
                Value::Counter(value) | Value::Gauge(value) => writeln!(out, "{family}{{{labels}}} {value}"),
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

fn labels_text<'a>(labels: impl Iterator<Item = (&'static str, &'a String)>) -> String {
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
    let count = buckets.count();
    writeln!(out, "{family}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
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
