//! What may be linked or run: licences that ask for no more than to be named, one version of each crate, and the registry of
//! crates as the only source. Security advisories need the network and are not looked at here.

use std::collections::BTreeMap;

use super::Finding;
use crate::repository::Locked;

/// Licences that a crate may be had under.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Crates of which there are two versions, and who wants the older one.
const TWICE: &[(&str, &str)] = &[
    ("getrandom", "ring"),
    ("shlex", "trycmd"),
    ("similar", "insta"),
    ("syn", "promql-parser, which the tests of the dashboard use"),
    ("unicode-width", "the same"),
    ("windows-sys", "ring; not built on Linux"),
];
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(packages: &[Locked]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |message: String| findings.push(Finding { path: "Cargo.lock".into(), line: 1, message });
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Locked { name, version, licence, source } in packages {
        versions.entry(name).or_default().push(version);
        if source.as_ref().is_some_and(|source| source != REGISTRY) {
            found(format!("`{name}` {version} comes from {source:?}: take crates from the registry only"));
        }
        if !is_allowed(licence) {
            found(format!("`{name}` {version} is under `{licence}`: allowed are {}", LICENCES.join(", ")));
        }
    }
    for (name, versions) in &versions {
        let is_known = TWICE.iter().any(|(known, _)| known == name);
        if versions.len() > 1 && !is_known {
            let versions = versions.join(" and ");
            found(format!(
                "`{name}` is there as {versions}: agree on one, or say why in xtask/src/tidy/dependencies.rs"
            ));
        }
        if versions.len() == 1 && is_known {
            found(format!("`{name}` is there once: take it off the list in xtask/src/tidy/dependencies.rs"));
        }
    }
    findings
}

/// Whether an expression of SPDX (or the older `A/B`) can be met with the licences allowed.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    any_of(&mut rest) && rest.is_empty()
}

fn any_of(words: &mut &[&str]) -> bool {
    let mut holds = all_of(words);
    while let Some(rest) = words.strip_prefix(&["OR"]) {
        *words = rest;
        holds |= all_of(words);
    }
    holds
}

fn all_of(words: &mut &[&str]) -> bool {
    let mut holds = one(words);
    while let Some(rest) = words.strip_prefix(&["AND"]) {
        *words = rest;
        holds &= one(words);
    }
    holds
}

/// A licence, which an exception only makes more permissive, or an expression in brackets.
fn one(words: &mut &[&str]) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    *words = rest;
    if *first == "(" {
        let holds = any_of(words);
        let Some(rest) = words.strip_prefix(&[")"]) else { return false };
        *words = rest;
        return holds;
    }
    if let [word, _, rest @ ..] = *words
        && *word == "WITH"
    {
        *words = rest;
    }
    LICENCES.contains(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(name: &str, version: &str, licence: &str, source: &str) -> Locked {
        let source = (!source.is_empty()).then(|| source.to_owned());
        Locked { name: name.into(), version: version.into(), licence: licence.into(), source }
    }

    #[test]
    fn expressions_are_met_or_not() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "(Apache-2.0 OR MIT) AND BSD-3-Clause",
            "GPL-3.0 OR MIT",
            "Apache-2.0 WITH LLVM-exception OR X",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT)", "GPL-3.0 AND (MIT OR ISC)", "MIT MIT"] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_second_version_a_foreign_source_and_a_licence_are_found() {
        let mut good: Vec<_> = TWICE
            .iter()
            .flat_map(|(name, _)| ["1", "2"].map(|version| locked(name, version, "MIT", REGISTRY)))
            .collect();
        good.push(locked("ours", "0.1.0", "Apache-2.0", ""));
        assert!(check(&good).is_empty());
        for bad in [
            locked("ours", "0.2.0", "MIT", ""),
            locked("git", "1", "MIT", "git+https://example.org/x"),
            locked("copyleft", "1", "AGPL-3.0", REGISTRY),
        ] {
            good.push(bad);
            assert_eq!(check(&good).len(), 1);
            good.pop();
        }
        assert_eq!(check(&good[1..]).len(), 1, "a list that is longer than it must be");
    }
}
