//! Every field is supported, rejected or warned about: checked by writing each of them. The page that says so is made from
//! the same tables; `cargo xtask bless` rewrites it.

mod fields;
mod golden;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use fields::{Place, Step};
use fuseboard_api::kind::{Envelope, KINDS, Kind, KnownKind, Treatment};
use fuseboard_api::schema::{Schema, Support, Type};
use fuseboard_config::{Code, ListenPlan, SourceText, Workload, load, resolve};
use fuseboard_snapshot::{Cluster, Provenance, Snapshot};
use golden::assert_golden;

/// Something to write for a type. Numbers differ from all defaults.
fn sample(ty: Type) -> String {
    match ty {
        Type::Bool => "true".to_owned(),
        Type::Int32 | Type::Uint32 | Type::IntOrText => "7".to_owned(),
        Type::Number => "70".to_owned(),
        Type::Text | Type::Any => "x".to_owned(),
        Type::Duration => "7s".to_owned(),
        Type::Choice(words) => words[0].name.to_owned(),
        Type::Object(schema) => object(schema, None),
        Type::List(element) => format!("[{}]", sample(*element)),
        Type::Map(element) => format!("{{k: {}}}", sample(*element)),
    }
}

/// An object with the fields that it must have, and `entry`.
fn object(schema: &Schema, entry: Option<(&str, &str)>) -> String {
    let own = entry.map(|(key, _)| key);
    let mut entries: Vec<String> = entry.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    // Not demanded by the schema, but without them the rest says nothing.
    let partners = [
        ("PortTrafficPolicy", "port", "{number: 8000}"),
        ("OutlierDetection", SPLIT, "true"),
        ("Http2KeepAlive", "interval", "1s"),
        ("Http2KeepAlive", "timeout", "1s"),
    ];
    for (holder, key, value) in partners {
        if schema.name == holder && own != Some(key) && (key != SPLIT || own == Some(LOCAL_FAILURES)) {
            entries.push(format!("{key}: {value}"));
        }
    }
    for field in schema.fields.iter().filter(|field| field.required && own != Some(field.name)) {
        entries.push(format!(
            "{}: {}",
            field.name,
            if field.name == "host" { "web".to_owned() } else { sample(field.ty) }
        ));
    }
    format!("{{{}}}", entries.join(", "))
}

const SPLIT: &str = "splitExternalLocalOriginErrors";
const LOCAL_FAILURES: &str = "consecutiveLocalOriginFailures";

/// The fields of a resource of which one is `place`; without `value` everything around it.
fn written(place: &Place, value: Option<&str>) -> String {
    let mut steps = place.path.iter().rev();
    let mut holders = place.holders.iter().rev();
    let Some(Step::Key(last)) = steps.next() else { return String::new() };
    let Some(innermost) = holders.next() else { return String::new() };
    let mut text = object(innermost, value.map(|value| (*last, value)));
    if value.is_none() && innermost.name == "OutlierDetection" && *last == LOCAL_FAILURES {
        text = format!("{{{SPLIT}: true}}");
    }
    for step in steps {
        text = match step {
            Step::Element => format!("[{text}]"),
            Step::Key(key) => {
                holders.next().map_or_else(String::new, |holder| object(holder, Some((key, &text))))
            }
        };
    }
    text
}

fn document(kind: Kind, fields: &str) -> String {
    let known = KINDS.iter().find(|known| known.treatment == Treatment::Read(kind));
    let (name, group, version) =
        known.map_or(("", "", ""), |known| (known.name, known.group, known.versions[0]));
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let head = format!("apiVersion: {api_version}\nkind: {name}\nmetadata: {{name: web}}\n");
    match kind.envelope() {
        Envelope::Spec => format!("{head}spec: {fields}\n"),
        Envelope::Inline => {
            let inner = fields.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
            format!("{{apiVersion: {api_version}, kind: {name}, metadata: {{name: web}}, {inner}}}\n")
        }
    }
}

fn codes(text: &str) -> HashSet<Code> {
    load(&[SourceText::new("x.yaml", text)]).1.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn each_field_and_each_word_is_taken_or_reported_as_the_table_says() {
    let schema_codes = [Code::UnknownField, Code::WrongType, Code::MissingField, Code::UnknownWord];
    let mut seen = 0;
    for kind in Kind::ALL {
        for place in fields::all(kind.schema()) {
            let words = fields::words(place.ty).iter().map(|word| (word.name.to_owned(), word.support));
            let values: Vec<(String, Support)> = match place.ty {
                Type::Choice(_) => words.collect(),
                ty => vec![(sample(ty), Support::Supported)],
            };
            for (value, own) in values {
                let text = document(kind, &written(&place, Some(&value)));
                let found = codes(&text);
                let support = if place.support == Support::Supported { own } else { place.support };
                let what = format!("{kind:?} {}: {value}\n{text}{found:?}", place.name(""));
                assert!(schema_codes.iter().all(|code| !found.contains(code)), "{what}");
                let warned = found.contains(&Code::NotActedUpon);
                match support {
                    Support::NotActedUpon(_) => assert!(warned, "no warning: {what}"),
                    Support::Security(_) => {
                        assert!(found.contains(&Code::SecurityNotProvided), "no error: {what}");
                    }
                    Support::Supported | Support::Ignored => {
                        assert!(!warned && !found.contains(&Code::SecurityNotProvided), "a warning: {what}");
                    }
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 300, "only {seen}");
}

/// A service, with two endpoints, that rules are written for.
const SERVICE: &str = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: entry}
spec:
  hosts: [web.default.svc.cluster.local]
  ports: [{number: 8000, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, labels: {k: x}}, {address: 10.0.0.2}]
";

fn clusters(text: &str) -> Vec<Cluster> {
    clusters_of(text, SERVICE)
}

fn clusters_of(text: &str, service: &str) -> Vec<Cluster> {
    let (resources, _) = load(&[SourceText::new("x.yaml", format!("{text}{service}"))]);
    let plan = ListenPlan::outbound(Vec::new());
    let (snapshot, _) = resolve(&resources, &Workload::default(), &plan, 1);
    without_origins(&snapshot)
}

/// What runs, apart from where it was written.
fn without_origins(snapshot: &Snapshot) -> Vec<Cluster> {
    let bare = |cluster: &Cluster| Cluster { provenance: Provenance::default(), ..cluster.clone() };
    snapshot.clusters.iter().map(|cluster| bare(cluster)).collect()
}

/// Words that mean what happens anyway.
const DEFAULT_WORDS: [&str; 7] =
    ["UNSPECIFIED", "LEAST_REQUEST", "LEAST_CONN", "DEFAULT", "DO_NOT_UPGRADE", "DISABLE", "V1"];

#[test]
fn each_supported_field_of_a_policy_changes_what_runs() {
    let mut seen = 0;
    for place in fields::all(Kind::DestinationRule.schema()) {
        let is_leaf = !matches!(place.ty, Type::Object(_) | Type::List(Type::Object(_)));
        let in_policy = place.path.contains(&Step::Key("trafficPolicy"));
        let names_the_port = place.path.ends_with(&[Step::Key("port"), Step::Key("number")]);
        if place.support != Support::Supported || !is_leaf || !in_policy || names_the_port {
            continue;
        }
        let values: Vec<String> = match place.ty {
            Type::Choice(words) => {
                let acts = |support| !matches!(support, Support::NotActedUpon(_));
                let words =
                    words.iter().filter(|word| acts(word.support) && !DEFAULT_WORDS.contains(&word.name));
                words.map(|word| word.name.to_owned()).collect()
            }
            ty => vec![sample(ty)],
        };
        let is_for_http2 = ["maxConcurrentStreams", "http2KeepAlive"].map(Step::Key);
        let speaks = if place.path.iter().any(|step| is_for_http2.contains(step)) { "HTTP2" } else { "HTTP" };
        let service = SERVICE.replace("protocol: HTTP", &format!("protocol: {speaks}"));
        let without = clusters_of(&document(Kind::DestinationRule, &written(&place, None)), &service);
        assert!(!without.is_empty());
        for value in values {
            let text = document(Kind::DestinationRule, &written(&place, Some(&value)));
            assert_ne!(
                clusters_of(&text, &service),
                without,
                "{}: {value} changes nothing\n{text}",
                place.name("spec")
            );
            seen += 1;
        }
    }
    assert!(seen > 90, "only {seen}");
}

/// A rule that gives every detector something to do, for what a `DestinationPolicy` adds.
const SPLIT_RULE: &str = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, trafficPolicy: {outlierDetection: {splitExternalLocalOriginErrors: true}}}
---
apiVersion: fuseboard.dev/v1alpha1
kind: DestinationPolicy
metadata: {name: all}
spec: {host: \"*\", outlierDetection: {successRate: {}, failurePercentage: {}}}
";

#[test]
fn each_supported_field_of_a_destination_policy_changes_what_runs() {
    let with_rule = |text: &str| clusters(&format!("{text}{SPLIT_RULE}"));
    let mut seen = 0;
    for place in fields::all(Kind::DestinationPolicy.schema()) {
        let is_leaf = !matches!(place.ty, Type::Object(_));
        let names_the_target = place.path.len() == 1 && matches!(place.name("").as_str(), "host" | "port");
        // The bound of a request is the route's.
        if !is_leaf || names_the_target || place.name("") == "timeout" {
            continue;
        }
        let without = with_rule(&document(Kind::DestinationPolicy, "{host: web}"));
        assert!(!without.is_empty());
        let value = match place.ty {
            // 7 is no status.
            Type::List(Type::IntOrText) => "[429]".to_owned(),
            ty => sample(ty),
        };
        let text = document(Kind::DestinationPolicy, &written(&place, Some(&value)));
        assert_ne!(with_rule(&text), without, "{} changes nothing\n{text}", place.name("spec"));
        seen += 1;
    }
    assert!(seen > 15, "only {seen}");
}

#[test]
fn the_page_of_supported_fields_is_made_from_the_schema() {
    let mut page = String::from(
        "# What is supported\n\n\
         <!-- Made from the declarations in `crates/api` by `cargo xtask bless`. -->\n\n\
         Every field of every resource that is read is acted upon, or reported: with a warning (FB116) that says what happens \
         instead, or, where ignoring it would be unsafe, with an error (FB117) and requests answered 503. Fields that carry \
         no wish about traffic are left out here.\n",
    );
    for known in KINDS {
        if let Treatment::Read(kind) = known.treatment {
            let _ = writeln!(page, "\n## {}\n\n`{}`\n", known.name, versions(known));
            page.push_str("| Field | | What it is; what happens instead |\n|---|---|---|\n");
            let prefix = if kind.envelope() == Envelope::Spec { "spec" } else { "" };
            let mut blocks = HashMap::new();
            for place in fields::all(kind.schema()) {
                rows(&place, prefix, &mut blocks, &mut page);
            }
        }
    }
    page.push_str("\n## Other kinds\n\n| Kind | | |\n|---|---|---|\n");
    for known in KINDS {
        let name =
            format!("`{}` ({})", known.name, if known.group.is_empty() { "core" } else { known.group });
        match known.treatment {
            Treatment::Read(_) => {}
            Treatment::NotActedUpon(instead) => {
                let _ = writeln!(page, "| {name} | warning FB115 | {instead} |");
            }
            Treatment::Foreign => {
                let _ = writeln!(page, "| {name} | left alone | |");
            }
        }
    }
    page.push_str("\nA kind that is in neither table gives the warning FB114.\n");
    assert_golden("../../../docs/support.md", &page);
}

fn versions(known: &KnownKind) -> String {
    let full = |version: &&str| match known.group {
        "" => (*version).to_owned(),
        group => format!("{group}/{version}"),
    };
    known.versions.iter().map(full).collect::<Vec<_>>().join("`, `")
}

/// The rows of one field. `blocks` are those already listed, with the path of the first: the others refer to it.
fn rows(place: &Place, prefix: &str, blocks: &mut HashMap<&'static str, String>, page: &mut String) {
    let name = place.name(prefix);
    let holder = place.holders.last().map_or("", |holder| holder.name);
    let holder_path = name.rsplit_once('.').map_or("", |(before, _)| before);
    if place.inherited || blocks.get(holder).is_some_and(|first| first != holder_path) {
        return;
    }
    let inner = match place.ty {
        Type::Object(inner) => Some((inner.name, name.clone())),
        Type::List(Type::Object(inner)) => Some((inner.name, format!("{name}[]"))),
        _ => None,
    };
    let mut doc = place.doc.trim().to_owned();
    if let Some((block, path)) = inner.filter(|_| place.support == Support::Supported) {
        match blocks.get(block) {
            Some(first) => {
                let _ = write!(doc, " Its fields: see `{first}`.");
            }
            None => {
                blocks.insert(block, path);
            }
        }
    }
    let _ = match place.support {
        Support::Supported => writeln!(page, "| `{name}` | yes | {doc} |"),
        Support::NotActedUpon(instead) => {
            writeln!(page, "| `{name}` | warning | {doc} Instead: {instead}. |")
        }
        Support::Security(instead) => writeln!(page, "| `{name}` | error | {doc} Instead: {instead}. |"),
        Support::Ignored => Ok(()),
    };
    for word in fields::words(place.ty) {
        let _ = match word.support {
            Support::NotActedUpon(instead) => {
                writeln!(page, "| `{name}: {}` | warning | Instead: {instead}. |", word.name)
            }
            Support::Security(instead) => {
                writeln!(page, "| `{name}: {}` | error | Instead: {instead}. |", word.name)
            }
            Support::Supported | Support::Ignored => Ok(()),
        };
    }
}
