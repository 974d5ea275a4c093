//! The example of fallbacks as it runs: what a client gets while everything is down, and what the commands say of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use std::path::Path;

use fuseboard_testkit::{Client, RefusingPort};

use crate::home::Home;

#[tokio::test]
async fn the_example_answers_from_its_file_and_the_commands_print_the_chain() {
    let (first, second) = (RefusingPort::bind(), RefusingPort::bind());
    let home = Home::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/fallback");
    for file in ["fallback.yaml", "nothing.body", "service.yaml"] {
        let text = std::fs::read_to_string(example.join(file)).unwrap();
        let text = text.replace("port: 8080", &format!("port: {}", first.address().port()));
        let text = text.replace("port: 8081", &format!("port: {}", second.address().port()));
        home.write(&format!("rules/{file}"), &text);
    }
    let proxy = home.proxy("").await;
    let mut client = Client::connect(proxy.listen).await;
    let answer = client.get("recommendations", "/").await;
    let body = "{\"items\": [], \"host\": \"recommendations.default.svc.cluster.local\", \"because\": \"connect_failure\"}\n";
    assert_eq!((answer.status, answer.text()), (200, body));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let said = "static; cause=connect_failure; after=\"cached:miss, service:connect_failure\"";
    assert_eq!(answer.field("x-fuseboard-fallback"), Some(said));

    for command in ["breaker show recommendations", "explain recommendations"] {
        let shown = home.fuseboard(command).await.out;
        for words in ["steps[0]", "cached, up to 10m old", "rules/fallback.yaml:13", "8Mi", "static 200"] {
            assert!(shown.contains(words), "{words} in {command}: {shown}");
        }
    }
}
