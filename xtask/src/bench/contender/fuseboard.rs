//! Fuseboard's arguments and rules for a row.

use std::fmt::Write as _;

use super::super::certificates::name_of_cluster;
use super::super::row::{Back, Front, Variant};
use super::Job;

/// Trip conditions of a breaker that stays closed.
const EVERY_CONDITION: &str = "consecutiveFailures: 5, failures: {count: 50, within: 10s}, failurePercent: 50, slowPercent: 50, slowerThan: 10s, minimumCalls: 20";

/// Services of a file, where there are many.
const IN_A_FILE: usize = 500;

pub(super) fn arguments(job: &Job<'_>) -> anyhow::Result<Vec<String>> {
    let scheme = match job.setting.front {
        Front::Tcp => "tcp://",
        Front::Tls | Front::MutualTls => "https://",
        Front::Http1 | Front::Http2 => "",
    };
    // More than any row has: of the default half is for connections to hosts, of which idle rows have none.
    let mut line = format!(
        "run --listen {scheme}{} --admin {} --concurrency 1 --max-connections 15000 -f ",
        job.listen, job.admin
    );
    if job.setting.clusters > 1 {
        line += &many(job)?;
    } else {
        line += &job.write("rules.yaml", &rules(job))?;
        line += " --host origin";
        let scheme = match job.setting.back {
            Back::Http2 => "h2c://",
            Back::Grpc => "grpc://",
            Back::Sink | Back::Echo if !job.is_http() => "tcp://",
            _ => "",
        };
        for host in &job.hosts {
            let _ = write!(line, " --to {scheme}{host}");
        }
    }
    let certificates = job.certificates;
    if job.has_tls() {
        let _ = write!(line, " --tls-cert {} --tls-key {}", certificates.server, certificates.server_key);
    }
    if job.setting.front == Front::MutualTls {
        let _ = write!(line, " --client-ca {}", certificates.authority);
    }
    if job.variant == Variant::Logged {
        line += " --access-log /dev/null";
    }
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

/// The rule of the bench: limits that are counted but never reached, and ejection on.
pub(in crate::bench) fn rule() -> String {
    rule_for("origin", "origin", HIGH, EJECTION)
}

const HIGH: &str =
    "tcp: {maxConnections: 10000}, http: {http1MaxPendingRequests: 10000, http2MaxRequests: 10000}";
const EJECTION: &str = "outlierDetection: {consecutive5xxErrors: 50, interval: 1s, baseEjectionTime: 30s, maxEjectionPercent: 100, minHealthPercent: 50}";

fn rule_for(name: &str, host: &str, limits: &str, more: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}}}\nspec:\n\
         \x20 host: {host}\n  trafficPolicy:\n    connectionPool: {{{limits}}}\n    {more}\n"
    )
}

fn rules(job: &Job<'_>) -> String {
    let limits = match job.variant {
        Variant::Full => "tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}",
        _ => HIGH,
    };
    let certificates = job.certificates;
    let more = match job.setting.back {
        // The host that refuses must stay.
        Back::HalfGone => String::new(),
        Back::MutualTls => format!(
            "{EJECTION}\n    tls: {{mode: MUTUAL, sni: origin, clientCertificate: {}, privateKey: {}, caCertificates: {}}}",
            certificates.client, certificates.client_key, certificates.authority
        ),
        _ => EJECTION.to_owned(),
    };
    let mut documents = vec![rule_for("origin", "origin", limits, &more)];
    let trip = match job.variant {
        Variant::Breaker | Variant::Fallback => Some(EVERY_CONDITION),
        Variant::Refusing => Some("consecutiveFailures: 1"),
        _ => None,
    };
    if let Some(trip) = trip {
        documents.push(format!(
            "apiVersion: fuseboard.dev/v1alpha1\nkind: CircuitBreaker\nmetadata: {{name: origin}}\n\
             spec:\n  host: origin\n  trip: {{{trip}}}\n  open: {{openFor: 1h, maxOpenFor: 1h}}\n"
        ));
    }
    if job.variant == Variant::Fallback {
        documents.push(
            "apiVersion: fuseboard.dev/v1alpha1\nkind: Fallback\nmetadata: {name: origin}\nspec:\n  host: origin\n\
             \x20 when: [any]\n  steps:\n  - static: {status: 200, body: \"nothing\"}\n"
                .to_owned(),
        );
    }
    documents.join("---\n")
}

/// A folder with as many services, each with an endpoint and a rule of its own, in files of a size that people have.
fn many(job: &Job<'_>) -> anyhow::Result<String> {
    let folder = job.folder.join(format!("rules-{}", job.setting.clusters));
    std::fs::create_dir_all(&folder)?;
    for first in (0..job.setting.clusters).step_by(IN_A_FILE) {
        let numbers = first..job.setting.clusters.min(first + IN_A_FILE);
        let services: Vec<String> = numbers.map(|number| service(job, number)).collect();
        std::fs::write(folder.join(format!("{first}.yaml")), services.join("---\n"))?;
    }
    Ok(folder.display().to_string())
}

fn service(job: &Job<'_>, number: usize) -> String {
    let (name, host) = (format!("c{number}"), name_of_cluster(number));
    let endpoint = job.hosts[number % job.hosts.len()];
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}}}\nspec:\n\
         \x20 hosts: [{host}]\n  resolution: STATIC\n  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {}}}]\n\
         \x20 endpoints: [{{address: {}}}]\n---\n{}",
        endpoint.port(),
        endpoint.ip(),
        rule_for(&name, &host, HIGH, EJECTION)
    )
}
