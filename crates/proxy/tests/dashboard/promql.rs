//! Which labels the result of a PromQL expression has, judged by a scrape; an error where the expression names what is not there.

use std::collections::{BTreeMap, BTreeSet};

use fuseboard_testkit::exposition::{Family, Sample};
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorSelector, parse};

type Labels = BTreeSet<String>;

/// What Prometheus adds to every series.
const OF_TARGETS: [&str; 2] = ["instance", "job"];

/// Samples by name.
pub(crate) struct Scrape(BTreeMap<String, Vec<Sample>>);

impl Scrape {
    pub(crate) fn new(families: Vec<Family>) -> Self {
        let mut by_name: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for sample in families.into_iter().flat_map(|family| family.samples) {
            by_name.entry(sample.name.clone()).or_default().push(sample);
        }
        Self(by_name)
    }
}

/// The labels that series of the result have.
pub(crate) fn labels_of_result(expression: &str, scrape: &Scrape) -> Result<Labels, String> {
    labels(&parse(expression)?, scrape)
}

fn labels(expression: &Expr, scrape: &Scrape) -> Result<Labels, String> {
    match expression {
        Expr::VectorSelector(selector) => selected(selector, scrape),
        Expr::MatrixSelector(matrix) => selected(&matrix.vs, scrape),
        Expr::Aggregate(aggregate) => aggregated(aggregate, scrape),
        Expr::Binary(binary) => combined(binary, scrape),
        Expr::Call(call) => called(call, scrape),
        Expr::Paren(paren) => labels(&paren.expr, scrape),
        Expr::Unary(unary) => labels(&unary.expr, scrape),
        Expr::Subquery(subquery) => labels(&subquery.expr, scrape),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(Labels::new()),
        Expr::Extension(_) => Err("not PromQL".to_owned()),
    }
}

fn selected(selector: &VectorSelector, scrape: &Scrape) -> Result<Labels, String> {
    let name = selector.name.as_deref().ok_or("a selector without a name")?;
    let samples = scrape.0.get(name).ok_or_else(|| format!("no series {name}"))?;
    let known = |label: &str| {
        OF_TARGETS.contains(&label) || samples.iter().any(|sample| sample.labels.contains_key(label))
    };
    let matchers = &selector.matchers.matchers;
    if let Some(unknown) = matchers.iter().find(|matcher| !known(&matcher.name)) {
        return Err(format!("{name} has no label {}", unknown.name));
    }
    if !samples.iter().any(|sample| matchers.iter().all(|matcher| accepts(matcher, sample))) {
        return Err(format!("{selector} selects nothing"));
    }
    let of_samples = samples.iter().flat_map(|sample| sample.labels.keys().cloned());
    Ok(of_samples.chain(OF_TARGETS.map(str::to_owned)).collect())
}

fn accepts(matcher: &Matcher, sample: &Sample) -> bool {
    if OF_TARGETS.contains(&matcher.name.as_str()) {
        return true;
    }
    let value = sample.labels.get(&matcher.name).map_or("", String::as_str);
    match &matcher.op {
        MatchOp::Equal => value == matcher.value,
        MatchOp::NotEqual => value != matcher.value,
        MatchOp::Re(regex) => regex.is_match(value),
        MatchOp::NotRe(regex) => !regex.is_match(value),
    }
}

fn aggregated(aggregate: &AggregateExpr, scrape: &Scrape) -> Result<Labels, String> {
    let inner = labels(&aggregate.expr, scrape)?;
    let Some(modifier) = &aggregate.modifier else { return Ok(Labels::new()) };
    let named = has_all(&inner, modifier)?;
    Ok(match modifier {
        LabelModifier::Include(_) => named,
        LabelModifier::Exclude(_) => &inner - &named,
    })
}

fn combined(binary: &BinaryExpr, scrape: &Scrape) -> Result<Labels, String> {
    let (left, right) = (labels(&binary.lhs, scrape)?, labels(&binary.rhs, scrape)?);
    if let Some(matching) = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()) {
        has_all(&left, matching)?;
        has_all(&right, matching)?;
    }
    // `or` may take its series from either side, arithmetic with a number from the one that has any.
    Ok(&left | &right)
}

fn called(call: &Call, scrape: &Scrape) -> Result<Labels, String> {
    let mut result = Labels::new();
    for argument in &call.args.args {
        result.extend(labels(argument, scrape)?);
    }
    match (call.func.name, call.args.args.get(1).map(|argument| &**argument)) {
        ("label_replace", Some(Expr::StringLiteral(made))) => {
            result.insert(made.val.clone());
        }
        ("histogram_quantile", _) if !result.remove("le") => return Err("no label le".to_owned()),
        _ => {}
    }
    Ok(result)
}

fn has_all(there: &Labels, modifier: &LabelModifier) -> Result<Labels, String> {
    let named: Labels = modifier.labels().labels.iter().cloned().collect();
    match named.difference(there).next() {
        Some(missing) => Err(format!("no label {missing}")),
        None => Ok(named),
    }
}
