//! What thousands of services cost to read: time in proportion to their number, whatever the lints have to compare.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fmt::Write as _;
use std::time::Duration;

use fuseboard_config::{ListenPlan, SourceText, Workload, analyze, load, resolve};
use rustix::time::{ClockId, clock_gettime};

/// So many services, each with a rule of its own, and one rule for all others.
fn text(services: usize) -> String {
    let mut text = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: all}\n\
                    spec: {host: \"*.example.com\", trafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}}}\n"
        .to_owned();
    for number in 0..services {
        let host = format!("s{number}.example.com");
        let _ = write!(
            text,
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: s{number}}}\n\
             spec: {{hosts: [{host}], resolution: STATIC, ports: [{{number: 80, name: http, protocol: HTTP}}], endpoints: [{{address: 10.0.0.1}}]}}\n\
             ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: s{number}}}\n\
             spec: {{host: {host}, trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: 9}}}}}}}}\n"
        );
    }
    text
}

/// Processor time of this thread, which other load does not change much.
fn time_of_thread() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn time_to_read(services: usize) -> Duration {
    let file = SourceText::new("rules.yaml", text(services).into_bytes());
    let workload = Workload::default();
    let before = time_of_thread();
    let (resources, mut found) = load(&[file]);
    let (_, problems) = resolve(&resources, &workload, &ListenPlan::outbound(Vec::new()), 1);
    found.append(problems);
    found.append(analyze(&resources, &workload));
    let took = time_of_thread().saturating_sub(before);
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "the rule for all others is used by nobody: {:?}", told.first());
    took
}

#[test]
fn p18_eight_times_as_many_services_take_no_more_than_twelve_times_as_long() {
    time_to_read(50);
    let (few, many) = (time_to_read(500), time_to_read(4_000));
    println!("500 services: {few:?}, 4,000: {many:?}");
    assert!(many < 12 * few, "500 services: {few:?}, 4,000: {many:?}");
}
