//! From text to resources and diagnostics.

mod golden;
mod inputs;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use fuseboard_config::diagnostic::render::{Look, json, line, text};
use fuseboard_config::{ResourceSet, SourceText, load};
use golden::assert_golden;
use inputs::inputs;

/// Each `tests/load/<name>.in.yaml` gives the diagnostics and the resources of `<name>.out.txt`.
#[test]
fn files_give_their_diagnostics_all_at_once() {
    for (name, yaml) in inputs("load") {
        let source = SourceText::new(format!("{name}.yaml"), yaml);
        assert_golden(&format!("load/{name}.out.txt"), &report(&[source]));
    }
}

#[test]
fn diagnostics_look_as_the_reader_needs_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load/many-mistakes.in.yaml");
    let (_, diagnostics) = load(&[SourceText::new("dr.yaml", fs::read(path).unwrap())]);
    assert_golden("load/many-mistakes.json", &(json(&diagnostics) + "\n"));
    let mut other = String::new();
    for diagnostic in diagnostics.iter().take(3) {
        let _ = writeln!(other, "{}", line(diagnostic));
        other.push_str(&text(diagnostic, Look { color: false, unicode: false }));
        other.push_str(&text(diagnostic, Look { color: true, unicode: true }));
    }
    assert_golden("load/many-mistakes.looks.txt", &other);
}

#[test]
fn an_excerpt_of_a_long_line_shows_only_the_place() {
    let names = vec!["x"; 4000].join(", ");
    let text_of_file = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: x}}\nspec: {{a: [{names}], \"größe\": 1}}\n"
    );
    let (_, diagnostics) = load(&[SourceText::new("x.yaml", text_of_file)]);
    let unknown = diagnostics.iter().last().unwrap();
    let shown = text(unknown, Look { color: false, unicode: true });
    assert!(shown.contains("\"größe\": 1") && shown.contains("x.yaml:4:12013"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() < 300), "{shown}");
}

fn report(sources: &[SourceText]) -> String {
    let (set, diagnostics) = load(sources);
    let mut out = String::new();
    for diagnostic in &diagnostics {
        out.push_str(&text(diagnostic, Look { color: false, unicode: true }));
    }
    let _ = writeln!(out, "{}", summary(&set));
    out
}

fn summary(set: &ResourceSet) -> String {
    let rejected: Vec<String> = set.rejected.iter().map(ToString::to_string).collect();
    format!(
        "usable: {} DestinationRule, {} ServiceEntry, {} Service, {} Endpoints, {} EndpointSlice, {} DestinationPolicy, {} CircuitBreaker, {} Fallback\n\
         rejected: [{}], unreadable: {:?}",
        set.destination_rules.len(),
        set.service_entries.len(),
        set.services.len(),
        set.endpoints.len(),
        set.endpoint_slices.len(),
        set.destination_policies.len(),
        set.circuit_breakers.len(),
        set.fallbacks.len(),
        rejected.join(", "),
        set.unreadable,
    )
}
