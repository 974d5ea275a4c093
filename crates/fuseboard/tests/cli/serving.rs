//! Serving: who is reached by which name, and that all tools tell the same story about what was refused.

use std::net::SocketAddr;

use fuseboard_testkit::tls::{Authority, Tunnel, Validity, client};
use fuseboard_testkit::{Behaviour, Client, Gate, OnAccept, Reply, Script, Upstream};

use crate::home::{Home, after, listeners, rule, service};

#[tokio::test]
async fn load_why_stats_and_the_upstream_agree_on_what_was_refused() {
    let home = Home::new();
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("hi")).after(&gate))).await;
    home.write("rules/service.yaml", &service(upstream.address()));
    home.write("rules/rule.yaml", &rule("1", "1"));
    let proxy = home.proxy("--concurrency 2").await;

    // The first call holds the connection and the second the place in the queue, until the third caller has had its ten.
    let url = format!("http://{}/get", proxy.listen);
    let load = home.fuseboard_later(&format!("load -c 3 -qps 0 -n 30 -H Host:httpbin:8000 {url}"));
    home.until(&format!("stats --filter pending_overflow --admin {}", proxy.admin), "overflow: 10\n").await;
    gate.open();
    let load = load.await.unwrap();
    assert_eq!(load.code, Some(0), "{load:?}");
    assert!(load.out.contains("\nCode 200 : 20 (66.7 %)\nCode 503 : 10 (33.3 %)\n"), "{load:?}");
    assert_eq!(upstream.counts().requests, 20);

    let why = home.fuseboard("why").await;
    assert_eq!(
        why.out,
        "outbound|8000||httpbin.default.svc.cluster.local\n\
         10 refused in the last 1m\n\
         \x20 10 × 503 UO  limit.queue_full: every connection was busy and the queue was full\n\
         \x20   limit http1MaxPendingRequests = 1, up to 2 wanted\n\
         \x20   rule  DestinationRule httpbin.default, rules/rule.yaml:13\n"
    );
    let json = home.fuseboard("why -o json").await;
    assert_eq!(json.out.matches("\"reason\": \"limit.queue_full\"").count(), 10);
    let stats = home.fuseboard("stats --cluster httpbin --usedonly").await;
    for line in [
        "upstream_rq_pending_overflow: 10",
        "upstream_rq_503: 10",
        "upstream_rq_200: 20",
        "fuseboard.refused.limit.queue_full: 10",
    ] {
        assert!(stats.out.contains(line), "no {line} in {}", stats.out);
    }
}

#[tokio::test]
async fn a_service_is_reached_by_each_of_its_names_on_every_listener() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    let mut proxy =
        home.start("run -f rules --listen 127.0.0.1:0 --listen [::1]:0 --admin 127.0.0.1:0 --seed 1");
    let ready = proxy.line("ready").await;
    let listeners = listeners(&ready);
    assert_eq!((listeners.len(), listeners[1].is_ipv6()), (2, true), "{ready}");
    for listener in listeners {
        let mut client = Client::connect(listener).await;
        for name in ["httpbin", "httpbin.default", "httpbin.default.svc", "httpbin.default.svc.cluster.local"]
        {
            for host in [name.to_owned(), format!("{name}:8000")] {
                assert_eq!(client.get(&host, "/get").await.status, 200, "{host} at {listener}");
            }
        }
        assert_eq!(client.get("httpbin:8001", "/get").await.status, 404);
        // What a client sends that was told `http_proxy=`.
        client
            .send("GET http://httpbin.default:8000/get?a=1 HTTP/1.1\r\nHost: httpbin.default:8000\r\n\r\n")
            .await;
        let answer = client.response().await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("/get?a=1"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_port_that_declares_nothing_has_an_address_for_http_and_bytes_beside_its_names() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("served")).await;
    let speaks_first = Upstream::start_with(OnAccept::Speak("220 ready\r\n".into()), Script::ok("")).await;
    let undeclared = |text: String| text.replace("name: http,", "name: data,");
    home.write("rules/web.yaml", &undeclared(service(upstream.address())));
    let mail = undeclared(service(speaks_first.address())).replace("httpbin", "mail");
    home.write("rules/mail.yaml", &mail);
    let line = "run -f rules --listen :0 --listen-service :0=httpbin:8000 --listen-service :0=mail:8000 \
                --detection-timeout 20ms --admin 127.0.0.1:0";
    let mut proxy = home.start(line);
    let ready = proxy.line("ready").await;
    let own: Vec<SocketAddr> =
        ready.split_whitespace().filter_map(|word| word.strip_prefix("auto://")?.parse().ok()).collect();
    // Listeners are in the order of the services.
    let (web, mail) = (own[0], own[1]);
    for host in ["anything.example", "httpbin"] {
        assert_eq!(Client::connect(web).await.get(host, "/").await.text(), "served");
    }
    let shared = listeners(&ready)[0];
    assert_eq!(Client::connect(shared).await.get("httpbin:8000", "/").await.text(), "served");
    assert_eq!(Client::connect(shared).await.get("anything.example", "/").await.status, 404);
    assert_eq!(Client::connect(mail).await.received(11).await.unwrap(), b"220 ready\r\n");
    let told = home.fuseboard("explain httpbin").await.out;
    assert!(told.contains("is for this port alone. It takes HTTP or TCP, as each"), "{told}");
    let stats = home.fuseboard("stats --filter downstream_cx_rx_bytes_total|detection_timeout").await.out;
    assert!(stats.contains("detection_timeout: 1\n"), "{stats}");
}

#[tokio::test]
async fn a_folder_of_certificates_is_chosen_from_by_name_and_followed() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("served")).await;
    let authority = Authority::new("ours");
    let put = |folder: &str, name: &str, serial| {
        let pair = authority.issue_with(&[name], Validity::Now, serial);
        std::fs::create_dir_all(home.path(folder)).unwrap();
        home.write(&format!("{folder}/tls.crt"), &pair.certificate);
        home.write(&format!("{folder}/tls.key"), &pair.key);
    };
    put("one/a", "a.test", 17);
    put("one/b", "b.test", 18);
    put("two/c", "c.test", 19);
    std::os::unix::fs::symlink("one", home.path("live")).unwrap();
    let line = format!("run --listen :0 --to {} --tls-folder live --admin 127.0.0.1:0", upstream.address());
    let mut proxy = home.start(&line);
    let ready = proxy.line("ready").await;
    let address: SocketAddr = after(&ready, "https://").parse().unwrap();
    let served = async |name: &str| {
        let tunnel = Tunnel::start(client(&authority), name, address).await;
        let mut client = Client::connect(tunnel.address()).await;
        client.try_send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")).await.unwrap();
        client.try_response().await.is_ok()
    };
    assert!(served("a.test").await && served("b.test").await && !served("c.test").await);
    let certs = home.fuseboard("admin request GET certs").await.out;
    assert!(certs.contains("live/a/tls.crt") && certs.contains("live/b/tls.crt"), "{certs}");
    // The folder itself is another one.
    std::os::unix::fs::symlink("two", home.path("new")).unwrap();
    std::fs::rename(home.path("new"), home.path("live")).unwrap();
    home.until("admin request GET certs", "live/c/tls.crt").await;
    assert!(served("c.test").await && !served("a.test").await);
}

#[tokio::test]
async fn replaced_certificates_are_shown_to_new_connections_once_noticed_or_at_hangup_and_old_ones_go_on() {
    for hangup in [true, false] {
        let home = Home::new();
        let upstream = Upstream::start(Script::ok("served")).await;
        let [before, after_it] = ["before", "after"].map(Authority::new);
        std::fs::create_dir(home.path("live")).unwrap();
        let put = |authority: &Authority, name: &str, serial| {
            let pair = authority.issue_with(&[name], Validity::Now, serial);
            home.write(&format!("live/{name}.crt"), &pair.certificate);
            home.write(&format!("live/{name}.key"), &pair.key);
        };
        put(&before, "a.test", 17);
        let watch = if hangup { "--watch=false" } else { "" };
        let to = upstream.address();
        let line = format!("run --listen :0 --to {to} --tls-folder live --admin 127.0.0.1:0 {watch}");
        let mut proxy = home.start(&line);
        let address: SocketAddr = after(&proxy.line("ready").await, "https://").parse().unwrap();
        let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
        let call = async |authority: &Authority, name: &str| {
            let tunnel = Tunnel::start(client(authority), name, address).await;
            let mut client = Client::connect(tunnel.address()).await;
            client.try_send(request).await.ok()?;
            let answer = client.try_response().await.ok()?;
            Some((tunnel, client, answer.status))
        };
        let (_tunnel, mut old, status) = call(&before, "a.test").await.unwrap();
        assert_eq!(status, 200);

        put(&after_it, "a.test", 18);
        put(&after_it, "b.test", 19);
        if hangup {
            assert!(call(&before, "a.test").await.is_some(), "nobody has looked");
            proxy.signal(rustix::process::Signal::HUP);
        }
        home.until("admin request GET certs", "live/b.test.crt").await;
        home.until("admin request GET certs", "\"serial_number\": \"12\"").await;
        let secrets = home.fuseboard("proxy-config secret").await.out;
        assert!(secrets.contains("Cert Chain     ACTIVE     true           12 "), "{secrets}");
        assert!(call(&after_it, "a.test").await.is_some() && call(&after_it, "b.test").await.is_some());
        assert!(call(&before, "a.test").await.is_none(), "the old one is shown to nobody any more");
        assert_eq!(old.get("a.test", "/").await.text(), "served", "{hangup}");
    }
}

#[tokio::test]
async fn one_service_is_served_whatever_host_says_and_its_rule_holds() {
    let home = Home::new();
    let gate = Gate::new();
    let upstream = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("hi")).after(&gate))).await;
    home.write("dr.yaml", &rule("1", "1"));
    let line = format!("run --listen :0 --to {} -f dr.yaml --admin 127.0.0.1:0", upstream.address());
    let mut proxy = home.start(&line);
    let listen = listeners(&proxy.line("ready").await)[0];
    let mut clients = Vec::new();
    for host in ["a", "b.example:1", "httpbin"] {
        let mut client = Client::connect(listen).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        clients.push(client);
        let admitted = clients.len().min(2);
        home.until("stats --filter rq_pending_active|upstream_rq_active", &waiting(admitted)).await;
    }
    assert_eq!(clients.pop().unwrap().response().await.status, 503);
    gate.open();
    for mut client in clients {
        assert_eq!(client.response().await.status, 200);
    }
}

/// How the gauges read when so many calls are admitted: one runs, the others wait.
fn waiting(admitted: usize) -> String {
    format!("upstream_rq_pending_active: {}\n", admitted - 1)
}

#[tokio::test]
async fn a_listener_that_is_up_is_told_in_one_line_and_the_access_log_goes_where_it_is_asked() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    let proxy = home.proxy("--access-log access.log --access-log-format json").await;
    let mut client = Client::connect(proxy.listen).await;
    assert_eq!(client.get("httpbin", "/status/418").await.status, 418);
    proxy.process.signal(rustix::process::Signal::TERM);
    let (status, out, _) = proxy.process.end().await;
    assert_eq!((status.code(), out.as_str()), (Some(0), ""), "nothing follows the ready line");
    let log = std::fs::read_to_string(home.path("access.log")).unwrap();
    assert!(log.contains("\"response_code\":418"), "{log}");
}

#[tokio::test]
async fn a_level_changed_while_it_runs_is_seen_in_the_log() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    let mut proxy = home.proxy("--component-log-level router:warning").await;
    let ask = async |line: &str| home.fuseboard(&format!("admin request POST {line}")).await.out;
    let call = async || home.fuseboard(&format!("curl -H Host:nosuch http://{}/", proxy.listen)).await;

    call().await;
    let levels = ask("logging").await;
    assert!(
        levels.starts_with("active loggers:\n  admin: info\n") && levels.contains("  router: warning\n"),
        "{levels}"
    );
    assert!(ask("logging?router=debug").await.contains("  router: debug\n"));
    call().await;
    let refused = home.fuseboard("admin request POST logging?level=loud").await;
    assert!(refused.code == Some(1) && refused.err.contains("unknown logger level"), "{refused:?}");
    assert!(ask("logging?level=off").await.contains("  router: off\n"));
    call().await;
    ask("reset_counters").await;
    ask("logging?paths=admin:info,main:info").await;
    ask("healthcheck/ok").await;
    let lines = proxy.process.told_before("POST /healthcheck/ok").await;
    let said: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once("Z ")?.1)).collect();
    let answered = said.iter().filter(|line| line.starts_with("debug router: answered 404 to ")).count();
    assert_eq!(answered, 1, "neither before nor after: {said:#?}");
    assert!(said.contains(&"info admin: POST /logging?router=debug"), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("reset_counters")), "{said:#?}");
    proxy.process.signal(rustix::process::Signal::TERM);
    let (status, _, err) = proxy.process.end().await;
    assert!(status.success() && err.contains("Z info main: draining"), "{err}");
}

#[tokio::test]
async fn a_level_that_is_none_is_refused_before_anything_starts() {
    let home = Home::new();
    for (line, said) in [
        ("--log-level loud", "write one of trace, debug, info, warning"),
        ("--component-log-level pool:loud", "unknown logger level"),
        ("--component-log-level swimming:debug", "unknown logger name"),
    ] {
        let told = home.fuseboard(&format!("run --listen 127.0.0.1:0 --to 127.0.0.1:9 {line}")).await;
        assert!(told.code == Some(2) && told.err.contains(said), "{line}: {told:?}");
    }
}
