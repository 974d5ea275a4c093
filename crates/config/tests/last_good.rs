//! What serves while files are being edited.

use fuseboard_config::{ResourceSet, SourceText, load};

fn rule(name: &str, limit: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}}}\nspec:\n  host: {name}\n  \
         trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {limit}}}}}}}\n"
    )
}

fn read(files: &[(&str, String)]) -> ResourceSet {
    load(&files.iter().map(|(path, text)| SourceText::new(*path, text.as_str())).collect::<Vec<_>>()).0
}

fn limits(set: &ResourceSet) -> Vec<(String, i32)> {
    let limit = |rule: &fuseboard_config::Resource<fuseboard_api::istio::DestinationRule>| {
        let pool = rule.spec.traffic_policy.as_ref()?.connection_pool.as_ref()?;
        Some((rule.id.name.to_string(), pool.tcp.as_ref()?.max_connections?.value))
    };
    let mut limits: Vec<_> = set.destination_rules.iter().filter_map(limit).collect();
    limits.sort();
    limits
}

fn edited(before: &[(&str, String)], after: &[(&str, String)]) -> Vec<(String, i32)> {
    let mut set = read(after);
    set.keep_last_good(&read(before));
    limits(&set)
}

fn expect(rules: &[(&str, i32)]) -> Vec<(String, i32)> {
    rules.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect()
}

#[test]
fn a_rule_with_an_error_stays_as_it_was_and_the_others_change() {
    let before = [("x.yaml", rule("a", "1") + &rule("b", "1"))];
    let after = [("x.yaml", rule("a", "lots") + &rule("b", "2"))];
    assert_eq!(edited(&before, &after), expect(&[("a", 1), ("b", 2)]));
}

#[test]
fn a_document_that_is_no_yaml_any_more_keeps_what_was_in_its_file() {
    let before = [("x.yaml", rule("a", "1") + &rule("b", "1")), ("y.yaml", rule("c", "1"))];
    let after = [("x.yaml", "a: [\n".to_owned() + &rule("b", "2")), ("y.yaml", rule("c", "2"))];
    assert_eq!(edited(&before, &after), expect(&[("a", 1), ("b", 2), ("c", 2)]));
}

#[test]
fn what_was_deleted_is_gone_even_if_something_else_is_broken() {
    let before = [("x.yaml", rule("a", "1") + &rule("b", "1"))];
    let after = [("x.yaml", rule("a", "lots"))];
    assert_eq!(edited(&before, &after), expect(&[("a", 1)]));
}

#[test]
fn a_folder_that_disappears_keeps_all_that_was_in_it() {
    let before = read(&[("rules/x.yaml", rule("a", "1")), ("rules2/y.yaml", rule("b", "1"))]);
    let mut set = read(&[]);
    set.unreadable.push("rules".into());
    set.keep_last_good(&before);
    assert_eq!(limits(&set), expect(&[("a", 1)]));
}

#[test]
fn a_rule_that_moved_to_another_file_is_not_kept_twice() {
    let before = [("x.yaml", rule("a", "1"))];
    let after = [("x.yaml", "a: [\n".to_owned()), ("y.yaml", rule("a", "2"))];
    assert_eq!(edited(&before, &after), expect(&[("a", 2)]));
}
