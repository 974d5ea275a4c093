//! The layering of ARCHITECTURE.md as one table: which crates a crate may name, and which outside crates it may not.

use std::path::PathBuf;

use super::Finding;
use crate::repository::Package;

/// A crate, the inside crates it may depend on, and the outside crates it must not.
struct Rule {
    package: &'static str,
    inside: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const RUNTIMES: &[&str] = &["tokio", "hyper", "axum"];
const PURE: &[&str] = &["tokio", "hyper", "axum", "serde", "socket2", "rustix", "rand", "fastrand"];
const SOURCES: &[&str] = &["serde-saphyr", "saphyr-parser", "prost", "tonic", "kube", "notify"];

/// Those that rules come from; a caller of gRPC has messages of its own.
const RULE_SOURCES: &[&str] = &["serde-saphyr", "saphyr-parser", "tonic", "kube", "notify"];

const RULES: &[Rule] = &[
    Rule { package: "grpc", inside: &[], forbidden: PURE },
    Rule { package: "core", inside: &["grpc"], forbidden: PURE },
    Rule { package: "http1", inside: &[], forbidden: PURE },
    Rule { package: "go", inside: &[], forbidden: PURE },
    Rule { package: "api", inside: &[], forbidden: RUNTIMES },
    Rule { package: "stats", inside: &[], forbidden: RUNTIMES },
    Rule { package: "tls", inside: &[], forbidden: PURE },
    Rule { package: "snapshot", inside: &["core", "grpc", "tls"], forbidden: RUNTIMES },
    Rule { package: "config", inside: &["api", "core", "grpc", "snapshot", "tls"], forbidden: RUNTIMES },
    Rule { package: "admin", inside: &["core", "stats", "snapshot"], forbidden: SOURCES },
    Rule {
        package: "proxy",
        inside: &["core", "grpc", "http1", "snapshot", "stats", "admin", "tls"],
        forbidden: SOURCES,
    },
    Rule { package: "control", inside: &["config", "snapshot"], forbidden: &["hyper", "axum"] },
    Rule { package: "load", inside: &["core", "go", "grpc", "http1", "tls"], forbidden: RULE_SOURCES },
    // gRPC's messages are prost's.
    Rule {
        package: "httpbin",
        inside: &["go", "grpc", "tls"],
        forbidden: &["serde-saphyr", "saphyr-parser", "tonic", "kube", "notify"],
    },
    Rule { package: "testkit", inside: &["*"], forbidden: &[] },
    Rule { package: "fuseboard", inside: &["*"], forbidden: &[] },
    Rule { package: "xtask", inside: &["*"], forbidden: &[] },
];

/// Edges that the table does not allow, and crates that it does not know.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Finding> {
    let short = package.name.strip_prefix("fuseboard-").unwrap_or(&package.name);
    let path = if short == "xtask" { PathBuf::from("xtask") } else { PathBuf::from("crates").join(short) };
    let finding = |message| Finding { path: path.join("Cargo.toml"), line: 1, message };
    let Some(rule) = RULES.iter().find(|rule| rule.package == short) else {
        return vec![finding(format!(
            "crate `{short}` has no row in xtask/src/tidy/edges.rs: say what it may use"
        ))];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        if let Some(inside) = dependency.strip_prefix("fuseboard-") {
            if !rule.inside.contains(&inside) && !rule.inside.contains(&"*") {
                findings.push(finding(format!("`{short}` may not depend on `{inside}`")));
            }
        } else if rule.forbidden.contains(&dependency.as_str()) {
            findings.push(finding(format!("`{short}` may not name the crate `{dependency}`")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package { name: name.into(), dependencies: dependencies.iter().map(|&name| name.into()).collect() }
    }

    #[test]
    fn an_edge_upwards_is_found() {
        assert_eq!(check(&[package("fuseboard-core", &["fuseboard-proxy"])]).len(), 1);
        assert_eq!(check(&[package("fuseboard-proxy", &["fuseboard-core", "tokio"])]).len(), 0);
    }

    #[test]
    fn a_forbidden_outside_crate_and_an_unknown_crate_are_found() {
        assert_eq!(check(&[package("fuseboard-config", &["tokio"])]).len(), 1);
        assert_eq!(check(&[package("fuseboard-mystery", &[])]).len(), 1);
    }
}
