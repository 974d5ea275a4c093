//! What `fuseboard explain` foretells is what happens.

use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Script, Upstream};
use serde_json::Value;

use crate::home::{Home, rule, service};

#[tokio::test]
async fn p25_what_is_foretold_of_the_next_request_is_what_happens() {
    let home = Home::new();
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::status(200)).after(&gate))).await;
    home.write("rules/service.yaml", &service(upstream.address()));
    home.write("rules/rule.yaml", &rule("2", "1"));
    let proxy = home.proxy("").await;

    // A running proxy says the same as its files, word for word.
    let told = home.fuseboard("explain httpbin:8000").await.out;
    assert_eq!(told, home.fuseboard("explain -f rules httpbin.default").await.out);
    let foretold = "1 host, at most two connections: two requests run, one waits, the fourth is";
    assert!(told.contains(foretold), "{told}");
    let queue =
        "http1MaxPendingRequests         1               rules/rule.yaml:13  DestinationRule httpbin.default";
    assert!(told.contains(queue), "{told}");

    let json = home.fuseboard("explain httpbin -o json").await.out;
    let document: Value = serde_json::from_str(&json).unwrap();
    let admission = &document["clusters"][0]["admission"];
    let number = |name: &str| admission[name].as_u64().unwrap();
    let (run, wait, refused) = (number("run"), number("wait"), number("refused"));
    assert_eq!(refused, run + wait + 1);

    let mut admitted = Vec::new();
    for index in 1..refused {
        let mut client = Client::connect(proxy.listen).await;
        client.send("GET / HTTP/1.1\r\nhost: httpbin\r\n\r\n").await;
        let (gauge, value) = if index <= run {
            ("upstream_rq_active", index)
        } else {
            ("upstream_rq_pending_active", index - run)
        };
        home.until(&format!("stats --filter httpbin.*{gauge}$"), &format!("{gauge}: {value}\n")).await;
        admitted.push(client);
    }
    let answer = Client::connect(proxy.listen).await.get("httpbin", "/").await;
    assert_eq!((answer.status, answer.field("x-fuseboard-refused")), (503, admission["reason"].as_str()));
    gate.open();
    for mut client in admitted {
        assert_eq!(client.response().await.status, 200);
    }
}
