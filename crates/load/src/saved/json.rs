//! Saved results as one document, for programs that compare.

use serde_json::{Map, Value, json};

use super::{Saved, change};
use crate::go::number::shortest;

/// `{"results": [...]}`: times in seconds, percentiles by name, and from the second result on how much more each number
/// is than in the first, in percent.
pub fn document(results: &[Saved]) -> Value {
    let first = results.first();
    let each = results.iter().enumerate().map(|(index, one)| {
        let mut result = json!({
            "file": one.name,
            "labels": one.labels,
            "url": one.url,
            "started": one.started.map(|at| at.to_string()),
            "asked": one.asked,
            "connections": one.connections,
            "calls": one.calls,
            "errors": one.errors,
            "seconds": one.duration,
            "qps": one.rate,
            "average": one.average,
            "max": one.longest,
            "percentiles": by_name(&one.percentiles),
            "exact": by_name(&one.exact),
            "sinceDue": by_name(&one.from_due),
            "sockets": one.sockets,
            "codes": one.codes,
        });
        if let Some(first) = first.filter(|_| index > 0) {
            result["change"] = changes(first, one);
        }
        result
    });
    json!({ "apiVersion": "fuseboard.dev/v1", "results": each.collect::<Vec<_>>() })
}

fn by_name(percentiles: &[(f64, f64)]) -> Map<String, Value> {
    percentiles.iter().map(|(percentile, seconds)| (name(*percentile), json!(seconds))).collect()
}

fn name(percentile: f64) -> String {
    format!("p{}", shortest(percentile))
}

fn changes(first: &Saved, one: &Saved) -> Value {
    let mut all = Map::new();
    let mut add = |name: String, before: f64, now: f64| {
        if let Some(percent) = change(before, now) {
            // Rounded: what comes behind is the arithmetic's.
            all.insert(name, json!((percent * 1e3).round() / 1e3));
        }
    };
    add("qps".into(), first.rate, one.rate);
    add("average".into(), first.average, one.average);
    add("max".into(), first.longest, one.longest);
    for (percentile, now) in &one.percentiles {
        let before = first.percentiles.iter().find(|found| (found.0 - percentile).abs() < 1e-9);
        if let Some((_, before)) = before {
            add(name(*percentile), *before, *now);
        }
    }
    Value::Object(all)
}
