//! A strict reader of Prometheus' text format, to judge what the proxy prints. It accepts less than Prometheus does: what
//! Prometheus merely tolerates is an error here.

use std::collections::{BTreeMap, BTreeSet};

/// A family: its samples stand together after one `# TYPE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Name after `# TYPE`.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Samples, in order.
    pub samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The family's name, for histograms with a suffix.
    pub name: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

/// Reads a whole exposition; the error names the line.
pub fn parse(text: &str) -> Result<Vec<Family>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line has no newline".to_owned());
    }
    let mut families: Vec<Family> = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let at = |problem: &str| format!("line {number}: {problem}: {line}");
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').ok_or_else(|| at("no type"))?;
            if !is_name(name, true) || !["counter", "gauge", "histogram"].contains(&kind) {
                return Err(at("bad name or type"));
            }
            if families.iter().any(|family| family.name == name) {
                return Err(at("declared twice"));
            }
            families.push(Family { name: name.to_owned(), kind: kind.to_owned(), samples: Vec::new() });
        } else if line.is_empty() || line.starts_with('#') {
            return Err(at("neither type nor sample"));
        } else {
            let sample = sample(line).map_err(|problem| at(&problem))?;
            let family = families.last_mut().ok_or_else(|| at("a sample before any type"))?;
            if !belongs(family, &sample) {
                return Err(at("not of the family above"));
            }
            if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                return Err(at("the same series twice"));
            }
            family.samples.push(sample);
        }
    }
    families.iter().try_for_each(check)?;
    Ok(families)
}

fn is_name(name: &str, colons: bool) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    name.chars().next().is_some_and(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn belongs(family: &Family, sample: &Sample) -> bool {
    match family.kind.as_str() {
        "histogram" => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|suffix| sample.name.strip_suffix(suffix) == Some(family.name.as_str())),
        _ => sample.name == family.name,
    }
}

fn sample(line: &str) -> Result<Sample, String> {
    let (name, rest) = line.split_once('{').ok_or("no labels")?;
    if !is_name(name, true) {
        return Err("bad name".to_owned());
    }
    let (labels, rest) = labels(rest)?;
    let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
    let value: f64 = value.parse().map_err(|_| "bad value".to_owned())?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// `a="b",c="d"}` and what follows the brace.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut all = BTreeMap::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((all, after));
        }
        if !all.is_empty() {
            rest = rest.strip_prefix(',').ok_or("no comma between labels")?;
        }
        let (name, after) = rest.split_once("=\"").ok_or("no label value")?;
        if !is_name(name, false) {
            return Err(format!("bad label name {name}"));
        }
        let (value, after) = quoted(after)?;
        rest = after;
        if all.insert(name.to_owned(), value).is_some() {
            return Err(format!("label {name} twice"));
        }
    }
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => return Err("bad escape".to_owned()),
            },
            c => value.push(c),
        }
    }
    Err("label value without end".to_owned())
}

/// What must hold over a whole family.
fn check(family: &Family) -> Result<(), String> {
    let wrong = |problem: &str| Err(format!("{}: {problem}", family.name));
    if family.samples.is_empty() {
        return wrong("no sample");
    }
    if family.samples.iter().any(|sample| !sample.value.is_finite() || sample.value < 0.0) {
        return wrong("a value that is negative or not finite");
    }
    if family.kind != "histogram" {
        return Ok(());
    }
    let mut series: BTreeMap<Vec<(String, String)>, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let labels = sample.labels.iter().filter(|(name, _)| *name != "le");
        let key = labels.map(|(name, value)| (name.clone(), value.clone())).collect();
        series.entry(key).or_default().push(sample);
    }
    series.values().try_for_each(|samples| check_histogram(&family.name, samples))
}

fn check_histogram(name: &str, samples: &[&Sample]) -> Result<(), String> {
    let single = |suffix: &str| {
        let mut found = samples.iter().filter(|sample| sample.name == format!("{name}{suffix}"));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.value),
            _ => Err(format!("{name}: not exactly one {suffix}")),
        }
    };
    single("_sum")?;
    let count = single("_count")?;
    let buckets: Vec<(f64, f64)> = samples
        .iter()
        .filter(|sample| sample.name.ends_with("_bucket"))
        .map(|sample| {
            let bound = sample.labels.get("le").ok_or("a bucket without le")?;
            let bound = bound.replace("+Inf", "inf").parse().map_err(|_| "bad le")?;
            Ok((bound, sample.value))
        })
        .collect::<Result<_, &str>>()
        .map_err(|problem| format!("{name}: {problem}"))?;
    if !buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1) {
        return Err(format!("{name}: buckets do not grow"));
    }
    if buckets.last() != Some(&(f64::INFINITY, count)) {
        return Err(format!("{name}: the last bucket is not the count"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_formed_is_read() {
        let text = "# TYPE a counter\na{} 1\na{x=\"q\\\"\\\\\\n\",y=\"\"} 2\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n\
                    h_bucket{le=\"+Inf\"} 2\nh_sum{} 2.5\nh_count{} 2\n";
        let families = parse(text).unwrap();
        assert_eq!(families.len(), 2);
        assert_eq!(families[0].samples[1].labels["x"], "q\"\\\n");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "a{} 1\n",
            "# TYPE a counter\na{} 1",
            "# TYPE a counter\n",
            "# TYPE a counter\na{} 1\na{} 1\n",
            "# TYPE a counter\na{} 1\n# TYPE a counter\na{x=\"1\"} 1\n",
            "# TYPE a counter\nb{} 1\n",
            "# TYPE a counter\na{x-y=\"1\"} 1\n",
            "# TYPE a counter\na{x=\"1\"y=\"2\"} 1\n",
            "# TYPE a counter\na{x=\"1\",x=\"2\"} 1\n",
            "# TYPE a counter\na{x=\"\\q\"} 1\n",
            "# TYPE a counter\na{} -1\n",
            "# TYPE a.b counter\na.b{} 1\n",
            "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum{} 0\nh_count{} 1\n",
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum{} 0\nh_count{} 1\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
