//! A new process in place of a running one: callers notice nothing, tools find the new one, and one that fails changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in what it calls too")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Script, Upstream};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::home::{Home, PATIENCE, Process, after, listeners, rule, service};

/// The processes that tools find, by id.
fn instances(home: &Home) -> Vec<i32> {
    let files = std::fs::read_dir(home.path("run/fuseboard")).unwrap();
    let names = files.filter_map(|file| file.unwrap().file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect()
}

/// A process that nobody waits for; told to end when dropped.
struct Adopted(Pid);

impl Drop for Adopted {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::TERM);
    }
}

fn adopted(home: &Home) -> Adopted {
    let [pid] = instances(home)[..] else { panic!("one process: {:?}", instances(home)) };
    Adopted(Pid::from_raw(pid).unwrap())
}

/// Calls without a pause until told to stop; how many calls there were, and what did not go well.
fn calls(address: SocketAddr, keep_alive: bool, stop: &Arc<AtomicBool>) -> JoinHandle<(usize, Vec<String>)> {
    let stop = Arc::clone(stop);
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let request = format!("GET /get HTTP/1.1\r\nHost: httpbin\r\nConnection: {connection}\r\n\r\n");
    tokio::spawn(async move {
        let (mut count, mut failures) = (0, Vec::new());
        let mut client = None;
        while !stop.load(Ordering::Relaxed) {
            let mut connected = match client.take() {
                Some(client) => client,
                None => Client::connect(address).await,
            };
            count += 1;
            let sent = connected.try_send(&request).await;
            match connected.try_response().await {
                Ok(answer) if answer.status == 200 => {
                    let closes = answer.field("connection") == Some("close");
                    client = (!closes).then_some(connected);
                }
                other => failures.push(format!("call {count}: {sent:?}, {other:?}")),
            }
        }
        (count, failures)
    })
}

/// Tells the process to be replaced, and waits until the new one serves; the old one is left to drain.
async fn replaced(process: &mut Process, signalled: Option<&Adopted>) {
    match signalled {
        Some(Adopted(pid)) => kill_process(*pid, Signal::USR2).unwrap(),
        None => process.signal(Signal::USR2),
    }
    process.line("ready").await;
    process.told("serves; draining").await;
}

#[tokio::test]
async fn d50_two_new_binaries_in_turn_cost_no_caller_a_request() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    home.write("rules/service.yaml", &service(upstream.address()));
    for more in ["--concurrency 1", "--concurrency 2", "--concurrency 2 --reuse-port"] {
        let mut proxy = home.proxy(more).await;
        let stop = Arc::default();
        let callers: Vec<_> = [false, false, true, true]
            .map(|keep_alive| calls(proxy.listen, keep_alive, &stop))
            .into_iter()
            .collect();
        let url = format!("http://{}/get", proxy.listen);
        let mut h2 = home.start(&format!("load -c 2 -qps 0 -t 0 -h2 -H Host:httpbin {url}"));
        upstream.until(|counts| counts.requests > 200).await;

        replaced(&mut proxy.process, None).await;
        let second = adopted(&home);
        let before = upstream.counts().requests;
        upstream.until(move |counts| counts.requests > before + 200).await;
        replaced(&mut proxy.process, Some(&second)).await;
        let _third = adopted(&home);
        let before = upstream.counts().requests;
        upstream.until(move |counts| counts.requests > before + 200).await;

        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            let (count, failures) = timeout(PATIENCE, caller).await.unwrap().unwrap();
            assert!(failures.is_empty(), "{more}: {failures:#?} of {count}");
        }
        h2.signal(Signal::INT);
        let codes = h2.line("Code ").await;
        assert!(codes.starts_with("Code 200 : ") && codes.ends_with("(100.0 %)"), "{more}: {codes}");
    }
}

#[tokio::test]
async fn tools_find_the_new_process_at_the_same_addresses_and_what_ran_is_finished_by_the_old_one() {
    let home = Home::new();
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(Script::by(move |request| match request.target.as_str() {
        "/slow" => Behaviour::answer(&Reply::ok("late")).after(&held),
        _ => Behaviour::answer(&Reply::ok("hi")),
    }))
    .await;
    home.write("rules/service.yaml", &service(upstream.address()));
    let socket = home.path("admin.sock");
    let line = format!("run -f rules --listen :0 --metrics :0 --admin unix:{}", socket.display());
    let mut old = home.start(&line);
    let ready = old.line("ready").await;
    let mut slow = Client::connect(listeners(&ready)[0]).await;
    slow.send("GET /slow HTTP/1.1\r\nHost: httpbin\r\n\r\n").await;
    upstream.until(|counts| counts.in_flight == 1).await;
    let before = instances(&home);

    old.signal(Signal::USR2);
    assert_eq!(old.line("ready").await, ready, "nothing has another address");
    let new = adopted(&home);
    assert_ne!(instances(&home), before);
    old.told("serves; draining").await;
    assert_eq!(home.fuseboard("admin request GET ready").await.out, "LIVE\n\n");
    let metrics = after(&ready, "metrics ");
    assert_eq!(home.fuseboard(&format!("curl {metrics}")).await.code, Some(0));
    gate.open();
    let answer = slow.response().await;
    assert_eq!((answer.text(), answer.field("connection")), ("late", Some("close")));

    kill_process(new.0, Signal::TERM).unwrap();
    let (status, ..) = old.end().await;
    assert_eq!(status.code(), Some(0));
    assert!(instances(&home).is_empty() && !socket.exists(), "the last one leaves nothing behind");
}

#[tokio::test]
async fn if_the_new_process_dies_nobody_waits_at_the_sockets_of_the_old_one_that_drains() {
    let home = Home::new();
    let gate = Gate::new();
    let held = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("late")).after(&gate))).await;
    home.write("rules/service.yaml", &service(held.address()));
    let mut old = home.start("run -f rules --listen :0 --metrics :0 --admin :0");
    let ready = old.line("ready").await;
    let address = |what| after(&ready, what).parse::<SocketAddr>().unwrap();
    let metrics = after(&ready, "metrics http://").replace("/stats/prometheus", "").parse().unwrap();
    let sockets = [listeners(&ready)[0], address("admin "), metrics];
    let mut slow = Client::connect(sockets[0]).await;
    slow.send("GET /slow HTTP/1.1\r\nHost: httpbin\r\n\r\n").await;
    held.until(|counts| counts.in_flight == 1).await;

    replaced(&mut old, None).await;
    kill_process(adopted(&home).0, Signal::KILL).unwrap();
    for socket in sockets {
        let refused = async { while tokio::net::TcpStream::connect(socket).await.is_ok() {} };
        timeout(PATIENCE, refused).await.unwrap_or_else(|_| panic!("{socket}: nobody listens there"));
    }
    gate.open();
    assert_eq!(slow.response().await.text(), "late", "the old one goes on with what it has");
    assert_eq!(old.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn a_new_process_that_fails_changes_nothing_and_says_why() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    home.write("rules/service.yaml", &service(upstream.address()));
    home.write("rules/rule.yaml", &rule("1", "1"));
    let mut proxy = home.proxy("--watch=false").await;
    let before = instances(&home);
    let served = async || Client::connect(proxy.listen).await.get("httpbin", "/get").await.status;

    home.write("rules/rule.yaml", &rule("many", "1"));
    proxy.process.signal(Signal::USR2);
    let told = proxy.process.told("no new process, this one goes on").await;
    assert!(told.contains("ended: exit status: 65"), "{told}");
    assert_eq!((served().await, instances(&home)), (200, before));

    home.write("rules/rule.yaml", &rule("1", "1"));
    proxy.process.signal(Signal::USR2);
    proxy.process.line("ready").await;
    let _new = adopted(&home);
    proxy.process.told("serves; draining").await;
    assert_eq!(served().await, 200);
}

#[tokio::test]
async fn the_new_program_decides_what_is_listened_on_and_one_that_does_not_understand_is_no_successor() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    let program = home.path("proxy");
    let write = |text: &str| {
        // Renamed into its place, as who installs a program does.
        std::fs::write(home.path("draft"), text).unwrap();
        std::fs::set_permissions(home.path("draft"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        std::fs::rename(home.path("draft"), &program).unwrap();
    };
    let real = env!("CARGO_BIN_EXE_fuseboard");
    let run = |listen: &str| {
        let to = upstream.address();
        format!(
            "#!/bin/sh\nexec -a {} {real} run --to {to} {listen} --admin 127.0.0.1:0\n",
            program.display()
        )
    };
    let bash = |text: String| text.replace("/bin/sh", "/bin/bash");
    write(&bash(run("--listen 127.0.0.1:0 --listen [::1]:0")));
    let mut proxy = Process::spawn(&mut home.command(&program, ""));
    let ready = proxy.line("ready").await;
    let [kept, gone] = listeners(&ready)[..] else { panic!("two listeners: {ready}") };

    write("#!/bin/sh\necho what is this >&2\nexit 3\n");
    proxy.signal(Signal::USR2);
    assert!(proxy.told("no new process").await.contains("ended: exit status: 3"));
    assert_eq!(Client::connect(gone).await.get("a", "/").await.status, 200);

    write(&bash(run("--listen 127.0.0.1:0")));
    proxy.signal(Signal::USR2);
    assert_eq!(listeners(&proxy.line("ready").await), [kept]);
    let new = adopted(&home);
    let refused = async { while tokio::net::TcpStream::connect(gone).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("nobody listens there any more");
    assert_eq!(Client::connect(kept).await.get("a", "/").await.status, 200);
    // What it held is closed when it is done with draining.
    kill_process(new.0, Signal::TERM).unwrap();
    let (status, ..) = proxy.end().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_service_manager_is_told_which_process_it_is_now() {
    let home = Home::new();
    let upstream = Upstream::start(Script::ok("hi")).await;
    let manager = tokio::net::UnixDatagram::bind(home.path("notify")).unwrap();
    let line = format!("run --to {} --listen 127.0.0.1:0 --admin 127.0.0.1:0", upstream.address());
    let mut run = home.command(env!("CARGO_BIN_EXE_fuseboard"), &line);
    let run = Process::spawn(run.env("NOTIFY_SOCKET", home.path("notify")));
    let told = async || {
        let mut told = [0; 1024];
        let length = timeout(PATIENCE, manager.recv(&mut told)).await.unwrap().unwrap();
        String::from_utf8_lossy(&told[..length]).into_owned()
    };
    assert!(told().await.starts_with("READY=1\nSTATUS=ready"));
    run.signal(Signal::USR2);
    let main = told().await;
    assert!(told().await.starts_with("READY=1\nSTATUS=ready"), "the new one, after it is the service");
    let new = adopted(&home);
    assert_eq!(main, format!("MAINPID={}\n", new.0.as_raw_nonzero()));
    kill_process(new.0, Signal::TERM).unwrap();
    assert_eq!(run.end().await.0.code(), Some(0));
}
