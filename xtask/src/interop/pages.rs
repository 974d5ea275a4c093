//! Each page of the admin API, asked of both: status, kind of content, and either the text itself or its shape. What we print must be what a
//! reader of Envoy's page understands; what Envoy prints beyond that is Envoy's.

use std::collections::BTreeSet;

use fuseboard_admin::{AdminAddress, AdminClient};
use serde_json::Value;

use super::experiment::{Pair, Proxy};
use super::table::Table;

/// How much of a page must be as Envoy's.
#[derive(Clone, Copy)]
enum Likeness {
    /// Every byte.
    Text,
    /// JSON, every value. Envoy writes the fields of some pages in an order that differs from run to run.
    Values,
    /// The first line; what follows lists what each of them has.
    FirstLine,
    /// A text whose words are each one's own.
    Kind,
    /// JSON; shown are fields of ours that Envoy's lacks, of which there must be none.
    Fields,
}
use Likeness::{Fields, FirstLine, Kind, Text, Values};

const PAGES: &[(&str, &str, Likeness)] = &[
    ("GET", "/ready", Text),
    ("GET", "/certs", Text),
    ("GET", "/runtime", Values),
    ("GET", "/hot_restart_version", Text),
    ("GET", "/memory", Fields),
    ("GET", "/server_info", Fields),
    ("GET", "/listeners", Kind),
    ("GET", "/listeners?format=json", Fields),
    ("GET", "/clusters", Kind),
    ("GET", "/clusters?format=json", Fields),
    (
        "GET",
        "/config_dump?resource=static_clusters&mask=cluster.name,cluster.circuit_breakers,last_updated",
        Fields,
    ),
    (
        "GET",
        "/config_dump?include_eds&resource=static_endpoint_configs&mask=endpoint_config.cluster_name",
        Fields,
    ),
    ("GET", "/config_dump?resource=dynamic_active_clusters", Text),
    ("GET", "/config_dump?resource=nosuch", Text),
    ("GET", "/config_dump?mask=nosuch", Text),
    ("GET", "/stats", Kind),
    ("GET", "/stats?format=json&filter=upstream_rq_time", Fields),
    ("GET", "/stats?format=json&filter=upstream_rq_time&histogram_buckets=cumulative", Fields),
    ("GET", "/stats?format=json&filter=upstream_rq_time&histogram_buckets=detailed", Fields),
    ("GET", "/stats?format=html", Kind),
    ("GET", "/stats?type=nosuch", Text),
    ("GET", "/stats?format=nosuch", Kind),
    ("GET", "/stats?histogram_buckets=nosuch", Kind),
    ("GET", "/stats/prometheus", Kind),
    ("GET", "/stats/prometheus?histogram_buckets=summary", Kind),
    ("GET", "/stats/prometheus?histogram_buckets=disjoint", Text),
    ("GET", "/help", FirstLine),
    ("GET", "/", Kind),
    ("GET", "/nosuch", FirstLine),
    ("GET", "/logging", Text),
    ("GET", "/drain_listeners", Text),
    ("DELETE", "/healthcheck/fail", Text),
    ("POST", "/ready", Text),
    ("POST", "/logging", FirstLine),
    ("POST", "/logging?level=warning", FirstLine),
    ("POST", "/logging?upstream=debug", FirstLine),
    ("POST", "/logging?paths=upstream:debug,http:trace", FirstLine),
    ("POST", "/logging?level=nosuch", FirstLine),
    ("POST", "/logging?nosuch=debug", FirstLine),
    ("POST", "/logging?paths=http", FirstLine),
    ("POST", "/logging?level=info&http=debug", FirstLine),
    ("POST", "/healthcheck/fail", Text),
    ("GET", "/ready", Text),
    ("POST", "/healthcheck/ok", Text),
    ("GET", "/ready", Text),
    ("POST", "/reset_counters", Text),
    ("POST", "/drain_listeners?inboundonly", Text),
    ("POST", "/drain_listeners?graceful&skip_exit", Text),
    ("POST", "/drain_listeners", Text),
    ("GET", "/ready", Text),
];

pub(super) fn compare(pair: &Pair, table: &mut Table) -> anyhow::Result<()> {
    for (method, target, likeness) in PAGES {
        let (theirs, ours) = (ask(&pair.envoy, method, target)?, ask(&pair.ours, method, target)?);
        let what = format!("{method} {target}");
        let (their_part, our_part) = match likeness {
            Text => (digest(&theirs.body), digest(&ours.body)),
            Values => (values(&theirs.body), values(&ours.body)),
            FirstLine => (first_line(&theirs.body).to_owned(), first_line(&ours.body).to_owned()),
            Kind => Default::default(),
            Fields => {
                let odd: Vec<String> =
                    fields(&ours.body).difference(&fields(&theirs.body)).cloned().collect();
                (String::new(), odd.join(" "))
            }
        };
        let whole = |page: &Asked, part: &str| format!("{} {} {part}", page.status, page.kind);
        table.same(what, whole(&theirs, &their_part), whole(&ours, &our_part));
    }
    Ok(())
}

struct Asked {
    status: u16,
    /// The content type without its parameters.
    kind: String,
    body: String,
}

fn ask(proxy: &Proxy, method: &str, target: &str) -> anyhow::Result<Asked> {
    let client = AdminClient::new(AdminAddress::Tcp(proxy.admin));
    let answer = client.request(method, target, b"")?;
    let kind = answer.content_type.split(';').next().unwrap_or_default().to_owned();
    Ok(Asked { status: answer.status, kind, body: answer.text() })
}

/// One line, however long the page is.
fn digest(body: &str) -> String {
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The values with their fields in one order; a page that is no JSON as it is.
fn values(body: &str) -> String {
    serde_json::from_str::<Value>(body).map_or_else(|_| digest(body), |value| value.to_string())
}

fn first_line(body: &str) -> &str {
    body.lines().next().unwrap_or_default()
}

/// The paths of all fields of a JSON document: `configs[].cluster.name`.
fn fields(body: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match serde_json::from_str(body) {
        Ok(document) => collect(&document, "", &mut found),
        Err(problem) => drop(found.insert(format!("no JSON: {problem}"))),
    }
    found
}

fn collect(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                collect(value, &at, found);
                found.insert(at);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, &format!("{at}[]"), found)),
        _ => {}
    }
}
