//! Which `DestinationRule` applies to a service for a client: namespaces in Istio's order, `exportTo`, wildcards, several
//! rules for one host, `workloadSelector`. What the chosen rule's blocks mean is left to [`super::destination_rule`].

use std::collections::{BTreeMap, BTreeSet};

use fuseboard_api::istio::DestinationRule;

use super::destination_rule::{PolicyAt, SubsetAt};
use super::host_table::HostTable;
use super::hostname;
use super::labels::{self, Labels};
use crate::set::Resource;
use crate::workload::Workload;

/// Rules of one host that count as one.
#[derive(Clone, Debug)]
pub(crate) struct MergedRule<'a> {
    /// The oldest of them, whose name the cluster carries.
    pub(crate) first: &'a Resource<DestinationRule>,
    /// The oldest policy; policies of several rules are never combined.
    pub(super) policy: Option<PolicyAt<'a>>,
    /// Subsets of all of them; of those with one name, the oldest.
    pub(super) subsets: Vec<SubsetAt<'a>>,
    exports: BTreeSet<&'a str>,
    /// Labels of the clients that the rule is for; `None`: for all.
    selector: Option<Labels<'a>>,
}

/// All rules, by the namespaces from which they are seen.
#[derive(Debug, Default)]
pub(crate) struct RuleIndex<'a> {
    /// Rules that clients of their own namespace see.
    local: BTreeMap<&'a str, HostTable<MergedRule<'a>>>,
    /// Rules that clients of other namespaces may see.
    exported: BTreeMap<&'a str, HostTable<MergedRule<'a>>>,
    /// Rules of the root namespace that only its own clients see.
    private_to_root: HostTable<MergedRule<'a>>,
}

impl<'a> RuleIndex<'a> {
    /// The index of `rules` as `workload` sees them.
    pub(crate) fn new(rules: &'a [Resource<DestinationRule>], workload: &Workload) -> Self {
        let mut rules: Vec<&Resource<DestinationRule>> = rules.iter().collect();
        rules.sort_by_key(|rule| (rule.spec.workload_selector.is_none(), age(rule)));
        let mut index = Self::default();
        for rule in rules {
            index.add(rule, workload);
        }
        index
    }

    fn add(&mut self, rule: &'a Resource<DestinationRule>, workload: &Workload) {
        let host = hostname::expand(&rule.spec.host, &rule.id.namespace, &workload.domain_suffix);
        let own = &*rule.id.namespace;
        let exports = exports(rule);
        let is_local = exports.is_empty() || ["*", ".", own].iter().any(|to| exports.contains(to));
        let is_private = exports.len() == 1 && (exports.contains(".") || exports.contains(own));
        if is_local {
            merge(self.local.entry(own).or_default().entry(&host), rule, &exports);
        }
        if !is_private {
            merge(self.exported.entry(own).or_default().entry(&host), rule, &exports);
        } else if own == &*workload.root_namespace {
            merge(self.private_to_root.entry(&host), rule, &exports);
        }
    }

    /// The rule for the service `host` of `namespace`. The first namespace that has one decides; policies of several
    /// namespaces are never combined.
    pub(crate) fn choose(&self, host: &str, namespace: &str, workload: &Workload) -> Option<&MergedRule<'a>> {
        let root = &*workload.root_namespace;
        let client = &*workload.namespace;
        // In the root namespace only private rules go first, so that gateways there prefer the service's own rules.
        let own = if client == root {
            self.private_to_root.closest(host)
        } else {
            self.local.get(client).and_then(|table| table.closest(host))
        };
        if let Some(candidates) = own {
            return select(candidates.iter(), workload);
        }
        [namespace, root].into_iter().find_map(|owner| {
            let candidates = self.exported.get(owner)?.closest(host)?;
            // The closest host is chosen before exportTo is looked at: a rule hidden from this client still hides wider ones.
            let visible: Vec<_> = candidates.iter().filter(|rule| rule.is_exported_to(client)).collect();
            (!visible.is_empty()).then(|| select(visible.into_iter(), workload))
        })?
    }
}

impl MergedRule<'_> {
    fn is_exported_to(&self, client: &str) -> bool {
        self.exports.is_empty() || self.exports.contains("*") || self.exports.contains(client)
    }

    fn selects(&self, workload: &Workload) -> bool {
        let own = |key: &str| workload.labels.get(key).map(|value| &**value);
        self.selector.as_ref().is_some_and(|selector| labels::matches(selector, own))
    }
}

/// Of several entries for one host: the first whose selector names this client, else the last without a selector.
fn select<'r, 'a>(
    candidates: impl Iterator<Item = &'r MergedRule<'a>> + Clone,
    workload: &Workload,
) -> Option<&'r MergedRule<'a>> {
    candidates
        .clone()
        .find(|rule| rule.selects(workload))
        .or_else(|| candidates.filter(|rule| rule.selector.is_none()).last())
}

/// Orders the rules of all files from the oldest to the youngest. Files without timestamps have no age, so that the name
/// decides, as it does for rules of the same second.
fn age(rule: &Resource<DestinationRule>) -> (Option<&str>, &str, &str) {
    (rule.created.as_deref(), &rule.id.name, &rule.id.namespace)
}

/// Namespaces that see `rule`; empty means all. A rule for chosen workloads is for its own namespace only.
fn exports(rule: &Resource<DestinationRule>) -> BTreeSet<&str> {
    if rule.spec.workload_selector.is_some() {
        return BTreeSet::from(["."]);
    }
    rule.spec.export_to.iter().flat_map(|list| &list.value).map(|to| to.value.as_str()).collect()
}

/// Adds `rule`, which is younger than all of `entries`, to those that it may be merged with, else as an entry of its own.
fn merge<'a>(
    entries: &mut Vec<MergedRule<'a>>,
    rule: &'a Resource<DestinationRule>,
    exports: &BTreeSet<&'a str>,
) {
    let selector = selector(rule);
    let mut stands_alone = true;
    for entry in entries.iter_mut() {
        let sees_no_more = !entry.exports.is_empty() && entry.exports.is_subset(exports);
        let same_exports = *exports == entry.exports || sees_no_more;
        let both_select = selector.is_some() && entry.selector.is_some();
        if !same_exports || (both_select && selector != entry.selector) {
            continue;
        }
        // A rule for all workloads also counts for those that have one of their own, and besides stands for itself.
        let is_generic_into_selected = selector.is_none() && entry.selector.is_some();
        stands_alone &= is_generic_into_selected;
        entry.absorb(rule);
    }
    if stands_alone {
        entries.push(MergedRule {
            first: rule,
            policy: PolicyAt::of_rule(rule),
            subsets: distinct(SubsetAt::of_rule(rule)),
            exports: exports.clone(),
            selector,
        });
    }
}

impl<'a> MergedRule<'a> {
    /// Takes from a younger rule what this one does not have.
    fn absorb(&mut self, younger: &'a Resource<DestinationRule>) {
        if self.policy.is_none() {
            self.policy = PolicyAt::of_rule(younger);
        }
        let subsets = self.subsets.drain(..).chain(SubsetAt::of_rule(younger)).collect::<Vec<_>>();
        self.subsets = distinct(subsets.into_iter());
    }
}

/// Of subsets with one name, the first.
fn distinct<'a>(subsets: impl Iterator<Item = SubsetAt<'a>>) -> Vec<SubsetAt<'a>> {
    let mut names = BTreeSet::new();
    subsets.filter(|subset| names.insert(subset.subset.name.value.as_str())).collect()
}

fn selector(rule: &Resource<DestinationRule>) -> Option<Labels<'_>> {
    rule.spec.workload_selector.as_ref().map(|selector| labels::plain(selector.match_labels.as_ref()))
}
