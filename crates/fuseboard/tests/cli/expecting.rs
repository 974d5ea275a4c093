//! The load generator as a tester: its verdicts are right where everything is known, and it exits as a build server needs.

use fuseboard_testkit::{Behaviour, Gate, Reply, Script, Upstream};

use crate::home::{Home, Said, rule, service};

/// `load` with these expectations.
async fn load(home: &Home, line: &str, expectations: &[&str]) -> Said {
    let mut command = home.command(env!("CARGO_BIN_EXE_fuseboard"), "load");
    for expectation in expectations {
        command.args(["-expect", expectation]);
    }
    command.args(line.split_whitespace());
    home.said(command).await
}

#[tokio::test]
async fn p66_what_callers_saw_and_what_the_proxy_counted_is_compared() {
    let home = Home::new();
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("hi")).after(&gate))).await;
    home.write("rules/service.yaml", &service(upstream.address()));
    home.write("rules/rule.yaml", &rule("1", "1"));
    let proxy = home.proxy("--concurrency 2").await;

    // One call runs, one waits, the third caller is refused ten times: then the upstream answers.
    let url = format!("http://{}/get", proxy.listen);
    let expectations = [
        "calls == 30",
        "code 200 == 20",
        "code 503 between 33% and 34%",
        "refused == 10",
        "refused limit.queue_full == 10",
        "refused limit.queue_full == stat",
        "refused == stat of httpbin",
        "overloaded == 10",
        "code 503 == stat",
        "code 503 == stat upstream_rq_pending_overflow of httpbin",
        "code 2xx == stat upstream_rq_total",
        "stat upstream_rq_pending_overflow == 10",
        "ejected == 0",
    ];
    let line = format!("-c 3 -qps 0 -n 30 -log-errors=false -H Host:httpbin:8000 {url}");
    let run = load(&home, &line, &expectations);
    let open = async {
        let overflow = format!("stats --filter pending_overflow --admin {}", proxy.admin);
        home.until(&overflow, "overflow: 10\n").await;
        gate.open();
    };
    let (load, ()) = tokio::join!(run, open);
    assert!(load.out.contains("\nExpectations: 13 of 13 hold\n"), "{load:?}");
    assert_eq!(load.code, Some(0));
    assert!(load.out.contains("\n  holds  refused limit.queue_full == stat  "), "{load:?}");
    assert!(load.out.contains("  10, and the proxy counted 10\n"), "{load:?}");
    assert_eq!(upstream.counts().requests, 20);

    // It is 0 before and after, which a counter may be too.
    let said = self::load(&home, &line, &["stat upstream_rq_active == 0"]).await;
    assert_eq!(said.code, Some(99), "{said:?}");
    assert!(
        said.out.contains("no counter upstream_rq_active, and only counters can be compared"),
        "{said:?}"
    );
}

#[tokio::test]
async fn p66_an_expectation_that_fails_is_exit_code_99_and_a_failure_of_junit() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    let url = format!("http://{}/", upstream.address());
    let line = format!("-c 2 -qps 0 -n 10 -junit verdicts.xml -json result.json {url}");
    let said = load(&home, &line, &["code 200 == 10", "errors > 0", "max < 1ns"]).await;
    assert_eq!(said.code, Some(99), "{said:?}");
    assert!(said.out.contains("\nExpectations: 1 of 3 hold\n"), "{said:?}");
    assert!(said.out.contains("\n  fails  errors > 0      0 of 10 (0.0 %)\n"), "{said:?}");
    let xml = std::fs::read_to_string(home.path("verdicts.xml")).unwrap();
    assert!(xml.contains("tests=\"3\"") && xml.contains("failures=\"2\""), "{xml}");
    let json = std::fs::read_to_string(home.path("result.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["fuseboard"]["expectations"][1]["holds"], false);

    home.write("promises", "code 200 == 10 # all of them\n\nerrors == 0\n");
    let line = format!("-c 2 -qps 0 -n 10 -expect-file promises {url}");
    let said = load(&home, &line, &[]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("\nExpectations: 2 of 2 hold\n"), "{said:?}");
}

#[tokio::test]
async fn what_cannot_be_understood_or_asked_ends_before_the_first_call() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    let url = format!("http://{}/", upstream.address());
    let said = load(&home, &url, &["errors = 0", "p99 < 5"]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("write == for equal") && said.err.contains("p99 < 5\n        ^"), "{said:?}");
    let said = load(&home, &format!("-admin 127.0.0.1:1 {url}"), &["ejected == 0"]).await;
    assert_eq!(said.code, Some(69), "{said:?}");
    home.write("promises", "errors == zero\n");
    let said = load(&home, &format!("-expect-file promises {url}"), &[]).await;
    assert_eq!(said.code, Some(65), "{said:?}");
    assert!(said.err.contains("promises:1: expected a number of calls"), "{said:?}");
    assert_eq!(upstream.counts().requests, 0);
}

#[tokio::test]
async fn p66_faults_injected_at_the_server_trip_the_breaker_in_k_calls() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    home.write(
        "rules/rule.yaml",
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: httpbin}\nspec:\n  host: httpbin\n  \
         trafficPolicy:\n    outlierDetection:\n      consecutive5xxErrors: 5\n      interval: 1h\n      \
         baseEjectionTime: 1h\n      maxEjectionPercent: 100\n",
    );
    let proxy = home.proxy("--concurrency 1").await;
    // 500 is not among what Istio's default policy tries again: each call is one try.
    let line = |calls: u64| {
        format!(
            "-c 1 -qps 0 -n {calls} -log-errors=false -H Host:httpbin:8000 http://{}/status/500",
            proxy.listen
        )
    };
    let said = load(&home, &line(4), &["code 500 == 4", "ejected == 0", "refused == 0"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = load(
        &home,
        &line(4),
        &[
            "ejected of httpbin == 1",
            "code 500 == 1",
            "refused no_healthy == 3",
            "refused no_healthy == stat",
        ],
    )
    .await;
    assert_eq!(said.code, Some(0), "{said:?}");
}

/// An admin server that has a counter at 7 and answers only those requests that `answers` says, then is gone.
fn admin(answers: &'static [bool]) -> std::io::Result<std::net::SocketAddr> {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for (answers, stream) in answers.iter().zip(listener.incoming()) {
            let mut stream = stream?;
            let _ = stream.read(&mut [0; 4096])?;
            if *answers {
                let body = "cluster.a.upstream_rq_total: 7\n";
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes())?;
            }
        }
        std::io::Result::Ok(())
    });
    Ok(address)
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_in_between_fails_what_is_expected_of_it_and_nothing_else() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    for (name, answers) in [("begin.json", &[true, false, true][..]), ("end.json", &[true, true])] {
        let line = format!(
            "-c 1 -qps 0 -n 7 -json {name} -admin {} http://{}/",
            admin(answers).unwrap(),
            upstream.address()
        );
        let said = load(&home, &line, &["stat upstream_rq_total == 7", "calls == 7"]).await;
        assert_eq!(said.code, Some(69), "{name}: {said:?}");
        assert!(said.out.contains("\nExpectations: 1 of 2 hold\n"), "{name}: {said:?}");
        assert!(said.out.contains("== 7  the proxy did not answer\n"), "{name}: {said:?}");
        assert!(home.path(name).exists(), "{name}: {said:?}");
    }
}

#[tokio::test]
async fn verdicts_that_cannot_be_written_do_not_lose_the_result() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    std::fs::create_dir(home.path("folder")).unwrap();
    let line = format!("-c 1 -qps 0 -n 3 -junit folder -json result.json http://{}/", upstream.address());
    let said = load(&home, &line, &["calls == 3"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("\nExpectations: 1 of 1 hold\n"), "{said:?}");
    assert!(said.err.contains("the verdicts cannot be written to folder"), "{said:?}");
    assert!(home.path("result.json").exists(), "{said:?}");
}
