//! FB016: two rules of one namespace for the same host, of which only one policy counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fuseboard_api::{List, Spanned};

use super::scene::{Rule, Scene};
use crate::diagnostic::{Code, Diagnostics};
use crate::resolve::labels;

pub(super) fn check(scene: &Scene<'_>, diagnostics: &mut Diagnostics) {
    let mut by_age: Vec<&Rule> = scene.rules.iter().collect();
    by_age.sort_by_key(|rule| (rule.created.as_deref(), &rule.id.name));
    // Those of before, by namespace and host.
    let mut before: HashMap<(&str, Arc<str>), Vec<&Rule>> = HashMap::new();
    for rule in by_age {
        let older = before.entry((&rule.id.namespace, scene.host(rule))).or_default();
        if let Some(rival) = older.iter().find(|older| same_clients(older, rule)) {
            compare(rival, rule, diagnostics);
        }
        older.push(rule);
    }
}

fn compare(older: &Rule, younger: &Rule, diagnostics: &mut Diagnostics) {
    // Istio merges where the younger rule is seen by all who see the older one; elsewhere the younger one hides it.
    let (seen, also_seen) = (exports(older), exports(younger));
    let merges = seen == also_seen || (!seen.is_empty() && seen.is_subset(&also_seen));
    let (loser, winner) = if merges { (younger, older) } else { (older, younger) };
    let both = older.spec.traffic_policy.is_some() && younger.spec.traffic_policy.is_some();
    if both || !merges {
        let message = format!(
            "{} ({}) is for the same host: its trafficPolicy counts, this one's does not",
            winner.id,
            winner.location(winner.span),
        );
        let help =
            "policies of two rules are not combined, not even block by block: write all settings in one rule";
        diagnostics.push(
            loser
                .diagnostic(Code::TwoRulesForHost, loser.spec.host.span, message)
                .field("spec.host")
                .help(help),
        );
    }
    let names = |rule: &Rule| -> Vec<Spanned<String>> {
        rule.spec
            .subsets
            .iter()
            .flat_map(|subsets| subsets.iter().map(|subset| subset.name.clone()))
            .collect()
    };
    for name in
        names(younger).iter().filter(|name| merges && names(older).iter().any(|old| old.value == name.value))
    {
        let message = format!(
            "subset {} is in {} ({}) already: this one is dropped",
            name.value,
            older.id,
            older.location(older.span)
        );
        let diagnostic = younger.diagnostic(Code::TwoRulesForHost, name.span, message);
        diagnostics.push(
            diagnostic.field("spec.subsets").help("give the subset another name, or delete one of them"),
        );
    }
}

/// Whether two rules are for the same client workloads.
fn same_clients(a: &Rule, b: &Rule) -> bool {
    let selector = |rule: &Rule| {
        let selector = rule.spec.workload_selector.as_ref()?;
        let labels = labels::plain(selector.match_labels.as_ref());
        Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>())
    };
    selector(a) == selector(b)
}

fn exports(rule: &Rule) -> BTreeSet<&str> {
    let list: Option<&Spanned<List<String>>> = rule.spec.export_to.as_ref();
    list.into_iter().flat_map(|list| list.iter().map(|to| to.value.as_str())).collect()
}
