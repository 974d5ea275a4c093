//! Leads one proxy through the steps of a scenario and notes what a client sees of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fuseboard_admin::{AdminAddress, AdminClient};
use fuseboard_testkit::{Client, ReadFailure, Response, http2};
use http::request::Builder;
use http::{HeaderMap, Request};
use tokio::task::JoinHandle;

use super::facts::{Facts, Stats, cluster_lines, fields};
use super::origin::{MESSAGE, Origin};
use super::proxies::{authority, cluster};
use super::scenario::{Scenario, Step};

/// Longer than anything here takes, on a machine that has other things to do too.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A proxy as a scenario sees it.
pub(super) struct Player<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) listener: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) origin: &'a Origin,
    started: Vec<JoinHandle<Seen>>,
    calls: usize,
    facts: Facts,
}

/// What one call brought: name and value of each fact.
type Seen = Vec<(&'static str, String)>;

impl<'a> Player<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        listener: SocketAddr,
        admin: SocketAddr,
        origin: &'a Origin,
    ) -> Self {
        Self { scenario, listener, admin, origin, started: Vec::new(), calls: 0, facts: Facts::default() }
    }

    pub(super) async fn play(mut self) -> Facts {
        for step in self.scenario.steps {
            self.step(*step).await;
        }
        self.settle().await;
        let stats = self.stats().await;
        self.facts.add_stats(&stats);
        self.facts
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Get(path) => {
                let seen = call(self.listener, self.get(path)).await;
                self.note(seen);
            }
            Step::Call(request) => {
                let seen = call(self.listener, self.request(request)).await;
                self.note(seen);
            }
            Step::Stream(path) => {
                let request = Request::get(self.uri(path));
                let seen = stream(self.listener, request, b"").await;
                self.note(seen);
            }
            Step::CallGrpc(path) => {
                let request = Request::post(self.uri(path)).header("te", "trailers");
                let request = request.header("content-type", "application/grpc");
                let seen = stream(self.listener, request, MESSAGE).await;
                self.note(seen);
            }
            Step::Session(requests) => {
                let mut client = Client::connect(self.listener).await.with_deadline(PATIENCE);
                for request in requests {
                    let seen = exchange(&mut client, &self.request(request)).await;
                    self.note(seen);
                }
            }
            Step::Pipelined(requests, answers) => {
                let mut client = Client::connect(self.listener).await.with_deadline(PATIENCE);
                let _ = client.try_send(self.request(requests)).await;
                for _ in 0..answers {
                    let seen = read(&mut client, false).await;
                    self.note(seen);
                }
            }
            Step::Burst(count, path) => {
                let calls: Vec<_> =
                    (0..count).map(|_| tokio::spawn(call(self.listener, self.get(path)))).collect();
                let mut all = Vec::new();
                for call in calls {
                    all.push(call.await.unwrap_or_default());
                }
                all.sort();
                for seen in all {
                    self.note(seen);
                }
            }
            Step::Start(path) => {
                self.started.push(tokio::spawn(call(self.listener, self.get(path))));
                let running = |stats: &Stats| {
                    let ended = self.started.iter().filter(|call| call.is_finished()).count() as u64;
                    let inside = of(stats, "upstream_rq_active") + of(stats, "upstream_rq_pending_active");
                    inside + ended >= self.started.len() as u64
                };
                self.wait(running).await;
            }
            Step::Open => {
                self.origin.gate.open();
                for call in std::mem::take(&mut self.started) {
                    let seen = call.await.unwrap_or_default();
                    self.note(seen);
                }
            }
            Step::Until(stat, value) => {
                let came = self.wait(|stats| of(stats, stat) == value).await;
                self.facts.add(format!("until {stat}"), format!("{value}: {came}"));
            }
            Step::Clusters => {
                let text = self.page("/clusters").await;
                for (key, value) in cluster_lines(&text, self.scenario.name, &self.origin.addresses) {
                    self.facts.add(format!("clusters {key}"), value);
                }
            }
        }
    }

    fn request(&self, text: &str) -> String {
        let text = text.replace("{host}", &authority(self.scenario.name));
        text.replace("{60k}", &"x".repeat(60 << 10)).replace("{99 fields}", &"a: b\r\n".repeat(99))
    }

    fn get(&self, path: &str) -> String {
        self.request(&format!("GET {path} HTTP/1.1\r\nhost: {{host}}\r\n\r\n"))
    }

    fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", authority(self.scenario.name))
    }

    fn note(&mut self, seen: Seen) {
        self.calls += 1;
        for (what, value) in seen {
            self.facts.add(format!("call {} {what}", self.calls), value);
        }
    }

    /// Until nothing runs and nothing is counted any more.
    async fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut last = self.stats().await;
        loop {
            tokio::time::sleep(LOOK_AGAIN * 5).await;
            let now = self.stats().await;
            if (now == last && of(&now, "upstream_rq_active") == 0) || Instant::now() > deadline {
                return;
            }
            last = now;
        }
    }

    async fn wait(&self, holds: impl Fn(&Stats) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.stats_of_cluster().await) {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        true
    }

    async fn stats(&self) -> Stats {
        let port = self.listener.port();
        let begin = format!("http.outbound_127.0.0.1_{port};.");
        let mut stats = self.stats_of_cluster().await;
        stats.extend(self.stats_by(&begin, "http", &format!("127.0.0.1_{port}")).await);
        stats
    }

    async fn stats_of_cluster(&self) -> Stats {
        let name = self.scenario.name;
        self.stats_by(&format!("cluster.{};.", cluster(name)), "cluster", name).await
    }

    /// Those whose names begin so, with `kind` in its place.
    async fn stats_by(&self, begin: &str, kind: &str, filter: &str) -> Stats {
        let page = self.page(&format!("/stats?filter={filter}")).await;
        let pairs = page.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix(begin)?.split_once(": ")?;
            Some((format!("{kind}.{name}"), value.parse().ok()?))
        });
        pairs.collect()
    }

    async fn page(&self, target: &str) -> String {
        let (client, target) = (AdminClient::new(AdminAddress::Tcp(self.admin)), target.to_owned());
        match tokio::task::spawn_blocking(move || client.get(&target)).await {
            Ok(Ok(answer)) => answer.text(),
            Ok(Err(problem)) => format!("no page: {problem}"),
            Err(problem) => format!("no page: {problem}"),
        }
    }
}

/// A stat of the cluster; 0 if it was never counted.
fn of(stats: &Stats, name: &str) -> u64 {
    stats.get(&format!("cluster.{name}")).copied().unwrap_or_default()
}

async fn call(listener: SocketAddr, request: String) -> Seen {
    let mut client = Client::connect(listener).await.with_deadline(PATIENCE);
    exchange(&mut client, &request).await
}

/// One stream on a connection of its own.
async fn stream(listener: SocketAddr, request: Builder, body: &[u8]) -> Seen {
    let Ok(request) = request.body(()) else { return vec![("status", "no request".to_owned())] };
    let client = http2::Client::connect(listener).await;
    match client.ask(request, body).await {
        Ok(answer) => vec![
            ("status", answer.status.as_u16().to_string()),
            ("fields", fields(&lines(&answer.fields))),
            ("body", format!("{:?}", String::from_utf8_lossy(&answer.body))),
            ("trailers", fields(&lines(&answer.trailers))),
        ],
        Err(error) => {
            vec![("status", error.reason().map_or("broken off".to_owned(), |reason| format!("{reason:?}")))]
        }
    }
}

/// Fields as lines of a head, the first of which is none.
fn lines(map: &HeaderMap) -> String {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("\r\n{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    map.iter().map(line).collect()
}

async fn exchange(client: &mut Client, request: &str) -> Seen {
    // Who refuses a request may close before it was sent whole.
    let _ = client.try_send(request).await;
    let mut seen = read(client, request.starts_with("HEAD ")).await;
    if seen.iter().any(|(what, value)| *what == "status" && value == "101") {
        let _ = client.try_send("ping").await;
        let echoed = client.received(4).await.unwrap_or_default();
        if request.contains("-and-end ") {
            // Else the client might end it first.
            client.closed().await;
        }
        seen.push(("tunnel", String::from_utf8_lossy(&echoed).into_owned()));
    }
    seen
}

async fn read(client: &mut Client, to_head: bool) -> Seen {
    let mut interim = Vec::new();
    let mut response = loop {
        match client.head().await {
            Ok(head) if head.status >= 200 || head.status == 101 => break head,
            Ok(head) => interim.push(head.status.to_string()),
            Err(failure) => return vec![("status", ended(&failure))],
        }
    };
    let mut seen = vec![
        ("status", response.status.to_string()),
        ("interim", interim.join(" ")),
        ("fields", fields(&response.head)),
    ];
    if to_head || matches!(response.status, 101 | 204 | 304) {
        return seen;
    }
    let end = client.body(&mut response).await;
    seen.push(("body", body(&response)));
    seen.push(("trailers", response.trailers.join("; ")));
    seen.push(("end", end.map_or_else(|failure| ended(&failure), |()| "whole".to_owned())));
    seen
}

/// Whether a connection was closed or reset is the kernel's to say where bytes were under way.
fn ended(failure: &ReadFailure) -> String {
    match failure {
        ReadFailure::Closed(_) | ReadFailure::Reset => "broken off".to_owned(),
        ReadFailure::Deadline(_) => "nothing more comes".to_owned(),
    }
}

fn body(response: &Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    if text.len() > 400 { format!("{} bytes", text.len()) } else { text.into_owned() }
}
