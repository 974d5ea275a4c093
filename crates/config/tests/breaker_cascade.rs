//! `CircuitBreaker`s against a naive model of their cascade: for each setting, the places are walked from the closest to the
//! widest, and the first that has it counts, with its line.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fuseboard_config::{ListenPlan, SourceText, Workload, load, resolve};
use fuseboard_core::breaker::BreakerPolicy;
use fuseboard_snapshot::{BreakerScope, BreakerSetting, ClusterBreaker, Provenance};
use proptest::prelude::*;

const HOSTS: [&str; 3] = ["a.example", "*.example", "*"];
/// The client's, the service's, the root namespace, and one that nobody looks into.
const NAMESPACES: [&str; 4] = ["client", "owner", "istio-system", "other"];
const PORTS: [Option<u16>; 3] = [None, Some(80), Some(81)];
const SUBSETS: [Option<&str>; 2] = [None, Some("v1")];

const SERVICE: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hosts, namespace: owner}
spec:
  hosts: [a.example, b.example, c.test]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: http-b, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: owner}
spec: {host: a.example, subsets: [{name: v1, labels: {version: v1}}]}
";

/// What one may write for a setting; `0` is off where the last is `0`.
const fn spellings(setting: BreakerSetting) -> [&'static str; 2] {
    match setting {
        BreakerSetting::Mode => ["shadow", "disabled"],
        BreakerSetting::Scope => ["endpoint", "destination"],
        BreakerSetting::Statuses | BreakerSetting::IgnoredStatuses => ["[404, 5xx]", "[429, 503]"],
        BreakerSetting::ConnectFailures
        | BreakerSetting::ConnectTimeouts
        | BreakerSetting::Timeouts
        | BreakerSetting::Resets
        | BreakerSetting::ProtocolErrors => ["ignored", "failure"],
        BreakerSetting::SlowerThan
        | BreakerSetting::FailuresWithin
        | BreakerSetting::WindowTime
        | BreakerSetting::OpenFor
        | BreakerSetting::MaxOpenFor
        | BreakerSetting::Decay
        | BreakerSetting::Lease
        | BreakerSetting::Patience
        | BreakerSetting::RampFor => ["3s", "45s"],
        BreakerSetting::ConsecutiveFailures
        | BreakerSetting::FailurePercent
        | BreakerSetting::SlowPercent
        | BreakerSetting::FailuresCount => ["7", "0"],
        BreakerSetting::Factor => ["1.5", "3"],
        BreakerSetting::MinimumCalls
        | BreakerSetting::WindowCalls
        | BreakerSetting::JitterPercent
        | BreakerSetting::Probes
        | BreakerSetting::Successes
        | BreakerSetting::RampFailurePercent
        | BreakerSetting::RampMinimumCalls => ["7", "21"],
    }
}

/// A resource to be, and what it says.
#[derive(Clone, Debug)]
struct Sketch {
    host: usize,
    namespace: usize,
    port: usize,
    subset: usize,
    choices: Vec<Option<usize>>,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let choices = prop::collection::vec(prop::option::weighted(0.3, 0..2_usize), BreakerSetting::ALL.len());
    (0..HOSTS.len(), 0..NAMESPACES.len(), 0..PORTS.len(), 0..SUBSETS.len(), choices).prop_map(
        |(host, namespace, port, subset, choices)| Sketch { host, namespace, port, subset, choices },
    )
}

/// A setting as it was written: what, and in which line.
type Said = BTreeMap<BreakerSetting, (&'static str, u32)>;

/// Writes the resource called `name` to the end of `text`.
fn write(sketch: &Sketch, name: usize, text: &mut String) -> Said {
    let mut said = Said::new();
    let (host, namespace) = (HOSTS[sketch.host], NAMESPACES[sketch.namespace]);
    write!(
        text,
        "---\napiVersion: fuseboard.dev/v1alpha1\nkind: CircuitBreaker\nmetadata: {{name: b{name}, namespace: {namespace}}}\n\
         spec:\n  host: \"{host}\"\n"
    )
    .unwrap();
    if let Some(port) = PORTS[sketch.port] {
        writeln!(text, "  port: {port}").unwrap();
    }
    if let Some(subset) = SUBSETS[sketch.subset] {
        writeln!(text, "  subset: {subset}").unwrap();
    }
    let mut open = Vec::new();
    for (setting, choice) in BreakerSetting::ALL.iter().zip(&sketch.choices) {
        let Some(choice) = *choice else { continue };
        if *setting == BreakerSetting::WindowTime && said.contains_key(&BreakerSetting::WindowCalls) {
            continue;
        }
        let mut path: Vec<&str> = setting.path().split('.').collect();
        let last = path.pop().unwrap();
        let common = path.iter().zip(&open).take_while(|(a, b)| a == b).count();
        for (depth, block) in path.iter().enumerate().skip(common) {
            writeln!(text, "{}{block}:", "  ".repeat(depth + 1)).unwrap();
        }
        open.clone_from(&path);
        let value = spellings(*setting)[choice];
        writeln!(text, "{}{last}: {value}", "  ".repeat(path.len() + 1)).unwrap();
        said.insert(*setting, (value, u32::try_from(text.lines().count()).unwrap()));
    }
    said
}

/// What is said of a cluster, the closest first.
fn for_cluster<'s>(all: &'s [(Sketch, Said)], host: &str, port: u16, subset: Option<&str>) -> Vec<&'s Said> {
    let mut found: Vec<&'s Said> = Vec::new();
    let covering = ["a.example", "*.example", "*"].into_iter().filter(|pattern| match *pattern {
        "*" => true,
        "*.example" => host.ends_with(".example"),
        exact => exact == host,
    });
    for pattern in covering {
        for namespace in ["client", "owner", "istio-system"] {
            for (wanted_subset, wanted_port) in
                [(subset, Some(port)), (subset, None), (None, Some(port)), (None, None)]
            {
                let first = all.iter().find(|(sketch, _)| {
                    HOSTS[sketch.host] == pattern
                        && NAMESPACES[sketch.namespace] == namespace
                        && PORTS[sketch.port] == wanted_port
                        && SUBSETS[sketch.subset] == wanted_subset
                });
                // Without a subset two of the four places are the same.
                found.extend(
                    first
                        .map(|(_, said)| said)
                        .filter(|said| !found.iter().any(|one| std::ptr::eq(*one, *said))),
                );
            }
        }
    }
    found
}

/// What is in force: the first that says it; of the two kinds of window, the first that says either.
fn in_force(places: &[&Said]) -> Said {
    let windows = [BreakerSetting::WindowCalls, BreakerSetting::WindowTime];
    let kind = places.iter().find_map(|said| windows.into_iter().find(|kind| said.contains_key(kind)));
    let counts = |setting: &BreakerSetting| !windows.contains(setting) || kind == Some(*setting);
    let first = |setting: &BreakerSetting| places.iter().find_map(|said| said.get(setting).copied());
    let settings = BreakerSetting::ALL.iter().filter(|setting| counts(setting));
    settings.filter_map(|setting| Some((*setting, first(setting)?))).collect()
}

/// What [`ClusterBreaker::value`] must say of a setting.
fn expected_value(setting: BreakerSetting, said: &Said) -> Option<String> {
    let written = |setting| said.get(&setting).map(|(value, _)| *value).filter(|value| *value != "0");
    let needs_both = |a, b| written(a).zip(written(b)).and_then(|_| written(setting)).map(str::to_owned);
    match setting {
        BreakerSetting::SlowPercent | BreakerSetting::SlowerThan => {
            needs_both(BreakerSetting::SlowPercent, BreakerSetting::SlowerThan)
        }
        BreakerSetting::FailuresCount | BreakerSetting::FailuresWithin => {
            needs_both(BreakerSetting::FailuresCount, BreakerSetting::FailuresWithin)
        }
        BreakerSetting::WindowTime if said.contains_key(&BreakerSetting::WindowCalls) => None,
        _ if said.contains_key(&setting) => written(setting).map(str::to_owned),
        _ => default_breaker().value(setting),
    }
}

fn default_breaker() -> ClusterBreaker {
    ClusterBreaker {
        scope: BreakerScope::default(),
        policy: BreakerPolicy::default(),
        rules: Vec::new(),
        provenance: Provenance::default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_setting_is_that_of_the_closest_place_that_has_it(
        sketches in prop::collection::vec(sketch(), 0..12)
    ) {
        let mut text = SERVICE.to_owned();
        let all: Vec<(Sketch, Said)> = sketches
            .into_iter()
            .enumerate()
            // Names in the order written: of two for one place, the first counts.
            .map(|(index, sketch)| { let said = write(&sketch, 10 + index, &mut text); (sketch, said) })
            .collect();
        let (resources, found) = load(&[SourceText::new("x.yaml", text.clone())]);
        prop_assert!(resources.rejected.is_empty(), "{text}\n{found:?}");
        let workload = Workload { namespace: "client".into(), ..Workload::default() };
        let (snapshot, _) = resolve(&resources, &workload, &ListenPlan::outbound(Vec::new()), 1);
        prop_assert_eq!(snapshot.clusters.len(), 8);
        for cluster in &snapshot.clusters {
            let service = &cluster.service;
            let subset = Some(&*service.subset).filter(|subset| !subset.is_empty());
            let places = for_cluster(&all, &service.host, service.port, subset);
            let Some(breaker) = &cluster.breaker else {
                prop_assert!(places.is_empty(), "{} has none\n{}", cluster.name, text);
                continue;
            };
            prop_assert_eq!(breaker.rules.len(), places.len(), "{}\n{}", cluster.name, text);
            let said = in_force(&places);
            for &setting in BreakerSetting::ALL {
                let line = breaker.provenance.get(setting).map(|at| at.location.as_ref().unwrap().line);
                let what = format!("{} {}\n{text}", cluster.name, setting.path());
                prop_assert_eq!(line, said.get(&setting).map(|(_, line)| *line), "{}", what);
                prop_assert_eq!(breaker.value(setting), expected_value(setting, &said), "{}", what);
            }
        }
    }
}
