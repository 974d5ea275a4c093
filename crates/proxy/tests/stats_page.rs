//! `docs/stats.md` is made from the declarations; `cargo xtask bless` rewrites it.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::stats::{REFUSED, declared};
use fuseboard_stats::{Desc, Kind};

const INTRODUCTION: &str = "\
# Statistics

The proxy counts under Envoy's names, so that dashboards, alerts and `grep` keep working. `/stats` prints them as text, JSON (`format=json`) or
for Prometheus (`format=prometheus`, or `/stats/prometheus`); `fuseboard stats` asks for you. All of them are on, and all are there from the first
scrape, at 0 where nothing happened yet.

* `<name>` is the cluster's name with Istio's delimiter: `cluster.outbound|8000||httpbin.default.svc.cluster.local;.upstream_rq_total`.
* In Prometheus a name becomes `envoy_cluster_upstream_rq_total{cluster_name=\"outbound|8000||httpbin.default.svc.cluster.local\"}`, with Istio's labels.
* What Envoy does not have stands under `fuseboard.` and begins with `fuseboard_` in Prometheus.
* Counts are exact: every worker counts in a block of its own, and a reader sums the blocks. Gauges of limits are computed when read.
* `/reset_counters` makes counters read from 0 on; gauges and histograms stay, as in Envoy.
* Histograms have Envoy's buckets and quantiles. There is no flush interval, so the first number of `P50(nan,1.05)` is always `nan`.
* A cluster that gets no traffic costs less than 5 KiB at 16 workers, its configuration included, so a thousand of them less than 5 MiB (measured: 3.7 KB).
  The first call adds about 1 KiB and 256 bytes for each worker; each worker that uses it a block of about 1.5 KiB, and less than 1 KiB for each decade of each
  histogram and for each class of status that occurs.
* The small set that says how a destination fares is about 25 of its series, all there at 0 from the first scrape: whether a limit is reached (`circuit_breakers.default.*_open`),
  admitted (`upstream_rq_total`), refused by reason (`fuseboard.refused.*`), in flight (`upstream_rq_active`), waiting (`upstream_rq_pending_active`), ejected
  (`outlier_detection.ejections_active`), and the limits themselves (`fuseboard.limit.*`). A whole scrape has about 10 KB of text for each destination; `filter` asks for less.
* With many labels in mind: the series of a cluster are a fixed set, plus one per status that occurred (twice, under `external.` too).

## Made when first counted

| Name | Kind | Meaning |
|---|---|---|
| `cluster.<name>.upstream_rq_<status>`, `cluster.<name>.upstream_rq_<n>xx` | counter | Final responses by status and by class, local replies included. In Prometheus both are `envoy_cluster_upstream_rq`, labelled `response_code` or `response_code_class`: sum one of them only. |
| `cluster.<name>.upstream_rq_completed` | counter | All of them (always there). |
| `cluster.<name>.external.upstream_rq_…` | counter | The same again; Envoy keeps calls from inside and outside the mesh apart here, and all are outside for now. |
| `cluster.<name>.retry.upstream_rq_…` | counter | Responses that were not passed on because the request was tried again. |
| `http.<prefix>.downstream_rq_<n>xx`, `http.<prefix>.downstream_rq_completed` | counter | Responses by class and in total (always there). |
";

fn page() -> String {
    let mut out = INTRODUCTION.to_owned();
    for (scope, descs) in by_scope() {
        let _ = writeln!(out, "\n## `{scope}`\n\n| Name | Kind | Meaning |\n|---|---|---|");
        for desc in descs {
            let _ = writeln!(out, "| `{}` | {} | {} |", desc.name, kind(desc.kind), desc.help());
        }
        if scope == "cluster.<name>.fuseboard" {
            refusals(&mut out, |reason| reason != RefusalReason::LimitDownstreamConnections);
        }
        if scope == "listener.<address>.fuseboard" {
            refusals(&mut out, |reason| reason == RefusalReason::LimitDownstreamConnections);
        }
    }
    write_lacking(&mut out);
    out
}

/// What is counted and what is computed, together.
fn by_scope() -> Vec<(&'static str, Vec<Desc>)> {
    let mut scopes: Vec<(&str, Vec<Desc>)> = Vec::new();
    for (scope, descs) in declared() {
        match scopes.iter_mut().find(|(known, _)| *known == scope) {
            Some((_, all)) => all.extend_from_slice(descs),
            None => scopes.push((scope, descs.to_vec())),
        }
    }
    scopes
}

fn refusals(out: &mut String, belongs: impl Fn(RefusalReason) -> bool) {
    for reason in RefusalReason::ALL.into_iter().filter(|reason| belongs(*reason)) {
        let _ = writeln!(out, "| `{}.{}` | counter | {} |", REFUSED.name, reason.token(), REFUSED.help);
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// What Envoy 1.40 prints for the same configuration and we do not.
fn lacking(ours: &BTreeSet<String>) -> BTreeSet<&'static str> {
    let envoys = include_str!("envoy_stats.txt").lines().filter_map(|line| Some(line.split_once(' ')?.1));
    let made_by_status =
        |name: &str| name.starts_with("http.<prefix>.downstream_rq_") && name.ends_with("xx");
    let always = ["cluster.<name>.upstream_rq_completed", "http.<prefix>.downstream_rq_completed"];
    envoys.filter(|name| !ours.contains(*name) && !made_by_status(name) && !always.contains(name)).collect()
}

/// The same with reasons: a reason on a line of its own, and below it, indented, what it explains. `cargo xtask interop` holds it against
/// an Envoy that runs.
fn explained() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in include_str!("stats_lacking.txt").lines() {
        match (line.strip_prefix("  "), groups.last_mut()) {
            (Some(name), Some((_, names))) => names.push(name),
            _ => groups.push((line, Vec::new())),
        }
    }
    groups
}

fn write_lacking(out: &mut String) {
    out.push_str("\n## What Envoy has and we do not\n\n| Why | What |\n|---|---|\n");
    for (reason, names) in explained() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(out, "| {reason} | {} |", names.join(" "));
    }
}

/// The names of the declared stats.
fn declared_names() -> BTreeSet<String> {
    let names = by_scope().into_iter().flat_map(|(scope, descs)| {
        let name =
            move |priority: &str, name: &str| format!("{}.{name}", scope.replace("<priority>", priority));
        descs.into_iter().flat_map(move |desc| [name("default", desc.name), name("high", desc.name)])
    });
    names.collect()
}

#[test]
fn each_stat_that_envoy_has_and_we_do_not_has_its_reason_and_no_other_has_one() {
    let names = declared_names();
    let explained: Vec<&str> = explained().into_iter().flat_map(|(_, names)| names).collect();
    let wanted = lacking(&names);
    assert_eq!(explained.len(), wanted.len(), "each once");
    assert_eq!(BTreeSet::from_iter(explained), wanted);
}

#[test]
fn the_documentation_of_stats_is_that_of_the_declarations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/stats.md");
    if std::env::var_os("FUSEBOARD_BLESS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let page = page();
    let different = page.lines().zip(written.lines()).find(|(made, written)| made != written);
    assert_eq!(different, None, "run `cargo xtask bless` and look at the difference");
    assert_eq!(page.len(), written.len(), "run `cargo xtask bless` and look at the difference");
}
