//! Files as people and machines spoil them: reading them never panics, ends soon, and says what is wrong.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fuseboard_config::diagnostic::render::{self, Look};
use fuseboard_config::{Code, Diagnostics, MAX_FILE_BYTES, ResourceSet, SourceText, Workload, analyze, load};
use proptest::prelude::*;

const GOOD: &str = "\
apiVersion: v1
kind: Service
metadata: {name: httpbin}
spec:
  ports:
  - {name: http, port: 8000}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: httpbin-1
  labels: {kubernetes.io/service-name: httpbin}
addressType: IPv4
ports: [{name: http, port: 8000}]
endpoints:
- addresses: [10.0.0.1]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: httpbin
spec:
  host: httpbin
  trafficPolicy:
    connectionPool:
      tcp:
        maxConnections: 1
        connectTimeout: 5s
      http: &http
        http1MaxPendingRequests: 1
    outlierDetection:
      consecutive5xxErrors: 1
      baseEjectionTime: 3m
      maxEjectionPercent: 100
";

fn read(content: impl Into<Vec<u8>>) -> (ResourceSet, Diagnostics) {
    load(&[SourceText::new("x.yaml", content)])
}

fn codes(diagnostics: &Diagnostics) -> Vec<Code> {
    diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// All that is done with a file, short of serving it.
fn everything(content: &[u8]) -> usize {
    let (resources, mut diagnostics) = read(content);
    diagnostics.append(analyze(&resources, &Workload::default()));
    let look = Look { color: true, unicode: true };
    let text: usize = diagnostics.iter().map(|diagnostic| render::text(diagnostic, look).len()).sum();
    text + render::json(&diagnostics).len()
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing_but_spans() {
    let (plain, _) = read(GOOD);
    let (windows, diagnostics) = read(format!("\u{feff}{}", GOOD.replace('\n', "\r\n")));
    assert!(diagnostics.is_empty(), "{:?}", codes(&diagnostics));
    assert_eq!(windows.destination_rules[0].spec.host.value, plain.destination_rules[0].spec.host.value);
    let at = |set: &ResourceSet| {
        let policy = set.destination_rules[0].spec.traffic_policy.as_ref().unwrap();
        policy.connection_pool.as_ref().unwrap().tcp.as_ref().unwrap().max_connections.unwrap().span
    };
    let (unix, windows) = (at(&plain), at(&windows));
    assert_eq!((unix.line, unix.column), (windows.line, windows.column));
    assert_eq!((unix.line, unix.column), (27, 25));
}

#[test]
fn characters_of_several_bytes_do_not_shift_columns() {
    let (_, diagnostics) =
        read("apiVersion: v1\nkind: Service\nmetadata: {name: x, labels: {ä: 'größe', ö: 5}}\nspec: {}\n");
    let five = diagnostics.iter().find(|diagnostic| diagnostic.code == Code::WrongType).unwrap();
    let place = five.at.as_ref().unwrap();
    assert_eq!((place.span.line, place.span.column), (3, 45));
    assert_eq!(&place.source.text[place.span.start as usize..place.span.end as usize], "5");
}

#[test]
fn utf_16_is_named_as_what_it_is() {
    let bytes: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain("kind: x".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let (set, diagnostics) = read(bytes);
    assert_eq!(codes(&diagnostics), [Code::NotUtf8]);
    assert!(diagnostics.iter().next().unwrap().help.as_ref().unwrap().contains("UTF-16"));
    assert_eq!(set.unreadable.len(), 1);
}

#[test]
fn a_document_that_is_no_yaml_does_not_hide_the_others() {
    let (set, diagnostics) = read(format!("a: [1\n---\n{GOOD}---\nb: [\n---\n"));
    assert_eq!(codes(&diagnostics), [Code::Syntax, Code::Syntax]);
    assert_eq!((set.services.len(), set.destination_rules.len()), (1, 1));
    assert_eq!(set.unreadable, ["x.yaml".into()]);
}

#[test]
fn a_list_as_kubectl_prints_it_is_unpacked() {
    let mut items = String::from("apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n");
    for document in GOOD.split("---\n") {
        for (index, line) in document.lines().enumerate() {
            let _ = writeln!(items, "{}{line}", if index == 0 { "- " } else { "  " });
        }
    }
    let (set, diagnostics) = read(items);
    assert!(diagnostics.is_empty(), "{:?}", codes(&diagnostics));
    assert_eq!((set.services.len(), set.endpoint_slices.len(), set.destination_rules.len()), (1, 1, 1));
}

#[test]
fn a_problem_in_one_item_of_a_list_rejects_that_item_only() {
    let item = |name: &str, extra: &str| {
        format!(
            "- apiVersion: v1\n  kind: Service\n  metadata: {{name: {name}}}\n  spec: {{ports: [{{port: 80{extra}}}]}}\n"
        )
    };
    let text = format!("apiVersion: v1\nkind: List\nitems:\n{}{}", item("a", ", port: 81"), item("b", ""));
    let (set, diagnostics) = read(text);
    assert_eq!(codes(&diagnostics), [Code::DuplicateKey]);
    assert_eq!(
        diagnostics.iter().next().unwrap().resource.as_ref().unwrap().to_string(),
        "Service a.default"
    );
    assert_eq!(set.services.iter().map(|service| &*service.id.name).collect::<Vec<_>>(), ["b"]);
    assert_eq!(set.rejected.len(), 1);
}

#[test]
fn a_forgotten_separator_is_named_and_rejects_the_resource() {
    let (set, diagnostics) = read(GOOD.replacen("---\n", "", 1));
    assert_eq!(codes(&diagnostics)[0], Code::DuplicateKey);
    let first = diagnostics.iter().next().unwrap();
    assert_eq!(first.resource.as_ref().map(ToString::to_string).as_deref(), Some("Service httpbin.default"));
    assert!(first.help.as_ref().unwrap().contains("---"), "{:?}", first.help);
    assert!(set.services.is_empty() && set.rejected.len() == 1);
    assert_eq!(set.destination_rules.len(), 1, "the next document is read");
}

#[test]
fn anchors_and_merge_keys_are_read_as_kubectl_reads_them() {
    let text = GOOD.replace(
        "    outlierDetection:",
        "    portLevelSettings:\n    - port: {number: 8000}\n      connectionPool:\n        http:\n          <<: *http\n          maxRetries: 3\n    outlierDetection:",
    );
    let (set, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{:?}", codes(&diagnostics));
    let policy = set.destination_rules[0].spec.traffic_policy.as_ref().unwrap();
    let entry = &policy.port_level_settings.as_ref().unwrap()[0];
    let http = entry.connection_pool.as_ref().unwrap().http.as_ref().unwrap();
    assert_eq!(http.http1_max_pending_requests.unwrap().value, 1);
    assert_eq!(http.max_retries.unwrap().value, 3);
}

#[test]
fn a_rule_whose_limit_is_an_alias_for_nothing_is_not_applied_without_the_limit() {
    let (set, diagnostics) = read(GOOD.replace("maxConnections: 1", "maxConnections: *limit"));
    assert!(codes(&diagnostics).contains(&Code::Syntax));
    assert!(set.destination_rules.is_empty());
    assert_eq!(set.rejected.len(), 1);
}

#[test]
fn json_is_read_with_tabs_and_all() {
    let (set, diagnostics) = read(
        "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"x\"},\n\t\"spec\": \
         {\n\t\t\"ports\": [\n\t\t\t{\"port\": 80}\n\t\t]\n\t}\n}\n",
    );
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    assert_eq!(set.services.len(), 1);
}

#[test]
fn problems_in_what_is_left_alone_are_said_too() {
    let (_, diagnostics) = read("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, name: y}\n");
    assert_eq!(codes(&diagnostics), [Code::DuplicateKey]);
}

#[test]
fn yes_and_on_are_booleans_and_octal_numbers_octal_as_for_kubectl() {
    let (set, diagnostics) = read(GOOD.replace(
        "consecutive5xxErrors: 1",
        "consecutive5xxErrors: 010\n      splitExternalLocalOriginErrors: yes",
    ));
    assert!(diagnostics.is_empty(), "{:?}", codes(&diagnostics));
    let policy = set.destination_rules[0].spec.traffic_policy.as_ref().unwrap();
    let detection = policy.outlier_detection.as_ref().unwrap();
    assert!(detection.split_external_local_origin_errors.unwrap().value);
    assert_eq!(detection.consecutive_5xx_errors.unwrap().value, 8);
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let _ = writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 10].join(", "));
    }
    let (_, diagnostics) = read(bomb);
    assert_eq!(codes(&diagnostics), [Code::TooLarge]);
}

#[test]
fn aliases_cannot_build_what_is_too_deep_to_write() {
    let mut deep = format!("a0: &a0 {}x{}\n", "[".repeat(40), "]".repeat(40));
    for level in 1..2000 {
        let _ = writeln!(deep, "a{level}: &a{level} {}*a{}{}", "[".repeat(40), level - 1, "]".repeat(40));
    }
    let (_, diagnostics) = read(deep);
    assert_eq!(codes(&diagnostics), [Code::TooLarge]);
}

#[test]
fn an_alias_inside_its_own_anchor_is_refused() {
    let (_, diagnostics) = read("a: &a [*a]\n");
    assert_eq!(codes(&diagnostics), [Code::Syntax]);
}

#[test]
fn nesting_without_end_is_refused() {
    for text in ["[".repeat(100_000), "{a: ".repeat(50_000), "- ".repeat(50_000), "? ".repeat(50_000)] {
        let (_, diagnostics) = read(text);
        assert_eq!(diagnostics.len(), 1, "{:?}", codes(&diagnostics));
    }
}

/// Large files in the shapes that are the most work. Debug builds are slow and machines are shared, so the bound is generous;
/// what it would catch is anything that grows with the square of the size.
#[test]
fn large_files_end_soon() {
    const SIZE: usize = MAX_FILE_BYTES / 4;
    let fill = |line: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        let mut index = 0;
        while text.len() < SIZE {
            text.push_str(&line(index));
            index += 1;
        }
        text
    };
    let head = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n";
    let shapes = [
        ("unknown fields", format!("{head}{}", fill(&|index| format!("  f{index}: 1\n")))),
        ("the same key", format!("{head}{}", fill(&|_| "  port: 1\n".to_owned()))),
        (
            "ports",
            format!(
                "{head}  ports:\n{}",
                fill(&|index| format!("  - {{port: {}, name: p{index}}}\n", index % 65535 + 1))
            ),
        ),
        ("list elements", fill(&|_| "- a\n".to_owned())),
        ("empty documents", fill(&|_| "---\n".to_owned())),
        ("broken documents", fill(&|_| "---\n[\n".to_owned())),
        ("comments", fill(&|_| "# nothing\n".to_owned())),
        ("one line", format!("{{a: '{}'}}", fill(&|_| "word ".to_owned()))),
        ("aliases", format!("a: &a [x, x]\n{}", fill(&|index| format!("b{index}: *a\n")))),
        ("anchors", fill(&|index| format!("- &a{index} x\n"))),
    ];
    for (name, text) in shapes {
        let begin = Instant::now();
        everything(text.as_bytes());
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(30), "{name} took {took:?}");
    }
}

#[test]
fn a_file_of_five_megabytes_is_refused_in_one_sentence() {
    let (set, diagnostics) = read(GOOD.repeat(5_000_000 / GOOD.len() + 1));
    let messages: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        ["Error [FB102] (x.yaml:1) the file has more than 4 MB, which is as much as is read"]
    );
    assert_eq!(set.unreadable.len(), 1);
}

#[test]
fn more_problems_than_anybody_reads_end_the_file_and_reject_the_resource() {
    let mut text = String::from("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n  ports:\n");
    for port in 1..=300 {
        // Warnings alone: they must not make room for a resource that was not checked to its end.
        let _ = writeln!(text, "  - {{port: {port}, name: p{port}, targetPort: }}");
    }
    text.push_str("  - {port: wrong}\n");
    let (set, diagnostics) = read(text);
    assert!(diagnostics.len() <= 101, "{}", diagnostics.len());
    assert!(codes(&diagnostics).contains(&Code::TooManyProblems));
    assert!(set.services.is_empty());
    assert_eq!(set.rejected.len(), 1);
}

/// Replaces, inserts and removes pieces of a good file.
fn spoiled() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(String::new()),
        "[ \t\r\n:\\-\\[\\]{}#&*!|>'\"%@`,?~a-z0-9]{1,8}",
        "\\PC{0,4}",
        Just("---\n".to_owned()),
        Just("*http".to_owned()),
        Just("<<: ".to_owned()),
        Just("&http ".to_owned()),
        Just("null".to_owned()),
        Just("5".to_owned()),
        Just("-1s".to_owned()),
        Just("999999999999999999999999h".to_owned()),
        Just("1e308".to_owned()),
        Just("0x".to_owned()),
        Just("\u{feff}".to_owned()),
    ];
    let edit = (0..GOOD.len(), 0_usize..40, piece);
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut text = GOOD.as_bytes().to_vec();
        for (at, length, piece) in edits {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, piece.into_bytes());
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        everything(&bytes);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[ \t\r\n:\\-\\[\\]{}#&*!|>'\"%@`,?~a-z0-9ä]{0,200}") {
        everything(text.as_bytes());
    }

    #[test]
    fn a_spoiled_file_is_read_without_panic_and_rejected_resources_are_not_used(text in spoiled()) {
        everything(&text);
        let (set, diagnostics) = read(text);
        // Of two resources with one name the first is used, and the second may have errors.
        prop_assume!(!codes(&diagnostics).contains(&Code::DuplicateResource));
        let used = [
            set.services.iter().map(|one| &one.id).collect::<Vec<_>>(),
            set.endpoint_slices.iter().map(|one| &one.id).collect(),
            set.destination_rules.iter().map(|one| &one.id).collect(),
        ]
        .concat();
        for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.rejects()) {
            prop_assert!(diagnostic.resource.iter().all(|id| !used.contains(&id)), "{diagnostic}");
        }
    }

    /// Cutting a file anywhere leaves whole resources, or problems.
    #[test]
    fn a_file_cut_short_never_gives_more_than_the_whole(at in 0..GOOD.len()) {
        let (whole, _) = read(GOOD);
        let (part, _) = read(&GOOD[..at]);
        prop_assert!(part.destination_rules.len() <= whole.destination_rules.len());
        prop_assert!(part.services.len() <= whole.services.len());
    }
}
