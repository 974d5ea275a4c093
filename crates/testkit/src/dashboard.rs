//! A Grafana dashboard as the list of what it asks Prometheus, with its variables filled in.

use serde_json::Value;

/// One query of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Title of the panel.
    pub panel: String,
    /// PromQL.
    pub expression: String,
    /// How its series are called; `{{label}}` stands for a label's value.
    pub legend: String,
}

/// The queries of a dashboard's panels. Variables stand for everything; rates are over `window`: `10s`.
pub fn queries(dashboard: &Value, window: &str) -> Vec<Query> {
    let mut found = Vec::new();
    for panel in list(&dashboard["panels"]) {
        for target in list(&panel["targets"]) {
            found.push(Query {
                panel: text(&panel["title"]),
                expression: filled_in(&text(&target["expr"]), window),
                legend: text(&target["legendFormat"]),
            });
        }
    }
    found
}

/// What the variables are made from: series selectors, each with the label whose values are offered.
pub fn variables(dashboard: &Value) -> Vec<(String, String)> {
    let queries =
        list(&dashboard["templating"]["list"]).iter().map(|variable| text(&variable["query"]["query"]));
    queries
        .filter_map(|query| {
            let inside = query.strip_prefix("label_values(")?.strip_suffix(')')?;
            let (selector, label) = inside.rsplit_once(", ")?;
            Some((filled_in(selector, "1m"), label.to_owned()))
        })
        .collect()
}

fn filled_in(expression: &str, window: &str) -> String {
    expression.replace("$__rate_interval", window).replace("$instance", ".*").replace("$cluster", ".*")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let target =
            serde_json::json!({"expr": "rate(a{i=~\"$instance\"}[$__rate_interval])", "legendFormat": "x"});
        let variable = serde_json::json!({"query": {"query": "label_values(a{i=~\"$instance\"}, b)"}});
        let dashboard = serde_json::json!({
            "panels": [{"title": "row"}, {"title": "p", "targets": [target]}],
            "templating": {"list": [{"query": "prometheus"}, variable]},
        });
        let [query] = &queries(&dashboard, "5s")[..] else { panic!("one query") };
        assert_eq!((query.panel.as_str(), query.expression.as_str()), ("p", "rate(a{i=~\".*\"}[5s])"));
        assert_eq!(variables(&dashboard), [("a{i=~\".*\"}".to_owned(), "b".to_owned())]);
    }
}
