//! How tools find the proxy, and the names under which the binary is another tool.

use crate::home::{Home, rule, service};

const PENDING: [&str; 7] = [
    "circuit_breakers.default.remaining_pending: 1",
    "circuit_breakers.default.rq_pending_open: 0",
    "circuit_breakers.high.rq_pending_open: 0",
    "upstream_rq_pending_active: 0",
    "upstream_rq_pending_failure_eject: 0",
    "upstream_rq_pending_overflow: 0",
    // How many had to wait is a matter of timing.
    "upstream_rq_pending_total: ",
];

#[tokio::test]
async fn istio_s_task_can_be_followed_under_the_names_that_it_uses() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    home.write("rules/rule.yaml", &rule("1", "1"));
    let proxy = home.proxy("").await;
    let fortio = home.alias("fortio");
    let load =
        format!("load -c 2 -qps 0 -n 20 -loglevel Warning -H Host:httpbin:8000 http://{}/get", proxy.listen);
    let load = home.said(home.command(&fortio, &load)).await;
    assert!(load.out.is_empty() && load.err.contains("\nCode 200 : 20 (100.0 %)\n"), "{load:?}");
    assert!(load.err.starts_with("Fortio "), "{load:?}");

    let agent = home.alias("pilot-agent");
    let stats = home.said(home.command(&agent, "request GET stats")).await;
    assert_eq!((stats.code, stats.err.as_str()), (Some(0), ""));
    let pending: Vec<&str> =
        stats.out.lines().filter(|line| line.contains("httpbin") && line.contains("pending")).collect();
    let known =
        PENDING.map(|line| format!("cluster.outbound|8000||httpbin.default.svc.cluster.local;.{line}"));
    assert_eq!(pending.len(), known.len());
    for (line, known) in pending.iter().zip(known) {
        assert!(line.starts_with(&known), "{line} is not {known}");
    }
}

#[tokio::test]
async fn another_name_explains_itself() {
    let home = Home::new();
    for (name, line, said) in [
        ("pilot-agent", "--help", "request"),
        ("pilot-agent", "request --help", "--debug-port"),
        ("fortio", "help", "-qps"),
        ("fortio", "version", "."),
    ] {
        let program = if home.path(name).exists() { home.path(name) } else { home.alias(name) };
        let told = home.said(home.command(program, line)).await;
        assert!(told.code == Some(0) && told.out.contains(said), "{name} {line}: {told:?}");
    }
    let unknown = home.said(home.command(home.path("fortio"), "dance")).await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.ends_with("tcp-echo, udp-echo, version and buildinfo\n"), "{unknown:?}");
    let absent = home.said(home.command(home.path("fortio"), "grpcping localhost:8079")).await;
    assert_eq!(absent.code, Some(1));
    assert!(absent.err.ends_with("gRPC is not supported\n"), "{absent:?}");
    let unknown = home.said(home.command(home.path("pilot-agent"), "proxy sidecar")).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(2), ""));
    assert!(
        unknown.err.contains("\"proxy\"") && unknown.err.contains("request, wait and version"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn istios_agent_tells_its_version_in_every_shape() {
    let home = Home::new();
    let agent = home.alias("pilot-agent");
    let version = env!("CARGO_PKG_VERSION");
    let short = format!("client version: {version}\n");
    let info = format!(
        "client version: version.BuildInfo{{Version:\"{version}\", GitRevision:\"unknown\", BuildStatus:\"unknown\", \
         GitTag:\"unknown\"}}\n"
    );
    let yaml = format!(
        "clientVersion:\n  revision: unknown\n  status: unknown\n  tag: unknown\n  version: {version}\n"
    );
    for (line, wanted) in [
        ("version", &short),
        ("version --short", &short),
        ("version -s", &short),
        ("version --short=false", &info),
        ("version -o yaml", &yaml),
    ] {
        let told = home.said(home.command(&agent, line)).await;
        assert_eq!((told.code, &told.out), (Some(0), wanted), "{line}");
    }
    let told = home.said(home.command(&agent, "version -o json")).await;
    let read: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(read["clientVersion"]["version"], version);
    assert_eq!(home.said(home.command(&agent, "version -o toml")).await.code, Some(2));
}

#[tokio::test]
async fn istios_agent_waits_until_the_proxy_is_ready_and_not_for_ever() {
    let home = Home::new();
    let agent = home.alias("pilot-agent");
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    let early =
        home.said(home.command(&agent, "wait --timeoutSeconds 0 --url http://127.0.0.1:9/ready")).await;
    assert_eq!((early.code, early.out.as_str()), (Some(1), ""));
    assert!(early.err.contains("timeout waiting for the proxy to become ready. Last error: "), "{early:?}");

    let proxy = home.proxy("").await;
    let fails = home.said(home.command(&agent, "request POST healthcheck/fail")).await;
    assert_eq!(fails.code, Some(0));
    let not_ready = home.said(home.command(&agent, "wait --timeoutSeconds 0")).await;
    assert_eq!(not_ready.code, Some(1));
    assert!(not_ready.err.contains("Last error: HTTP status code 503"), "{not_ready:?}");
    let line = format!(
        "wait --timeoutSeconds 60 --periodMillis 5 --requestTimeoutMillis 5000 --url http://{}/ready",
        proxy.admin
    );
    let mut waiting = home.command(&agent, &line);
    let waiting = tokio::task::spawn_blocking(move || waiting.output());
    let ok = home.said(home.command(&agent, "request POST healthcheck/ok")).await;
    assert_eq!(ok.code, Some(0));
    let waited = waiting.await.unwrap().unwrap();
    assert_eq!(waited.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&waited.stderr).ends_with("The proxy is ready!\n"));
}

#[tokio::test]
async fn of_two_instances_none_is_guessed() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    home.write("rules/service.yaml", &service(address));
    let one = home.proxy("").await;
    assert_eq!(home.fuseboard("why").await.out, "Nothing was refused in the last 1m.\n");
    let other = home.proxy("").await;
    let asked = home.fuseboard("why").await;
    assert_eq!(asked.code, Some(2));
    for part in [&one.admin, &other.admin, "FUSEBOARD_ADMIN", "next: add for example --admin"] {
        assert!(asked.err.contains(part), "no {part} in {}", asked.err);
    }
    let mut command = home.command(env!("CARGO_BIN_EXE_fuseboard"), "stats --filter listener.*_total");
    command.env("FUSEBOARD_ADMIN", &other.admin);
    let port = other.listen.port().to_string();
    assert!(home.said(command).await.out.contains(&port));
    // A flag is nearer than the environment.
    let mut command = home.command(env!("CARGO_BIN_EXE_fuseboard"), &format!("stats --admin {}", one.admin));
    command.env("FUSEBOARD_ADMIN", &other.admin);
    assert!(!home.said(command).await.out.contains(&format!("_{port}.")));
}

#[tokio::test]
async fn the_admin_server_may_be_a_socket_file() {
    let home = Home::new();
    let socket = home.path("admin.sock");
    let mut proxy =
        home.start(&format!("run --to 127.0.0.1:1 --listen :0 --admin unix:{}", socket.display()));
    let ready = proxy.line("ready").await;
    assert!(ready.ends_with(&format!("admin unix:{}", socket.display())), "{ready}");
    assert_eq!(home.fuseboard("admin request GET ready").await.out, "LIVE\n\n");
    let named = home.fuseboard(&format!("why --admin unix:{}", socket.display())).await;
    assert_eq!(named.code, Some(0), "{named:?}");
    proxy.signal(rustix::process::Signal::TERM);
    assert_eq!(proxy.end().await.0.code(), Some(0));
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_its_holder() {
    let home = Home::new();
    let (_httpbin, address) = home.httpbin().await;
    let free = "--to 127.0.0.1:1 --listen :0 --admin 127.0.0.1:0";
    for (line, next) in [
        (format!("httpbin --listen {address}"), "0 takes a free one"),
        (format!("run --to 127.0.0.1:1 --listen {address} --admin 127.0.0.1:0"), "--listen"),
        (format!("run --to 127.0.0.1:1 --listen :0 --admin {address}"), "--admin"),
        (format!("demo --once --port-base {}", address.port() - 2), "--port-base"),
    ] {
        let said = home.fuseboard(&line).await;
        assert_eq!(said.code, Some(1), "{line}: {said:?}");
        for part in [&*format!("cannot listen on {address}: in use by fuseboard (pid"), "next:", next] {
            assert!(said.err.contains(part), "{line}: no {part:?} in {}", said.err);
        }
    }
    assert!(home.start(&format!("run {free}")).line("ready").await.contains("listen http://127.0.0.1:"));
}
