//! One request put in front of a judge: what its client, the counters, the refusal records and the access log say of it,
//! held against what is expected and against the row of the table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::{AccessLogFormat, Body, Cause, ProxyOptions, RefusalRecord};
use fuseboard_testkit::{Behaviour, Client, Gate, ReadFailure, Reply, Response, Script, Upstream, settle};

use super::log::{LogFile, LogLine};
use super::numbers::Numbers;
use super::series::Ended;
use super::{Draft, Rig};

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The target of the request that is judged.
pub const JUDGED: &str = "/judged";

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// The next request on it is answered.
    Usable,
    /// It ends after the answer, which says so.
    Closed,
    /// It ends inside the answer, which is thereby seen to be incomplete.
    Broken,
}

/// What everybody should see.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// As the client sees it, and the access log; 0: nothing was answered.
    pub status: u16,
    pub flags: &'static str,
    pub details: &'static str,
    /// As the client sees it, whole or not.
    pub body: &'static str,
    /// Token of the refusal reason.
    pub reason: Option<RefusalReason>,
    /// Whether the answer says `x-envoy-overloaded: true`.
    pub overloaded: bool,
    /// Everything that is counted once, besides what every request counts and the statuses.
    pub counters: &'static [&'static str],
    /// Whether the access log names a host.
    pub host: bool,
    pub connection: Connection,
}

/// A proxy with an admin server and an access log: text with one worker, JSON with more.
pub struct Stage {
    pub rig: Rig,
    log: LogFile,
}

/// What everybody saw.
#[derive(Debug)]
pub struct Seen {
    answer: Option<Response>,
    connection: Connection,
    grew: BTreeMap<String, i64>,
    /// What Istio's metrics count more.
    ended: BTreeMap<Ended, u64>,
    refusals: Vec<RefusalRecord>,
    line: LogLine,
}

impl Stage {
    pub fn start(workers: usize, hosts: &[SocketAddr], change: impl FnOnce(&mut Draft)) -> Self {
        let format = if workers == 1 { AccessLogFormat::Text } else { AccessLogFormat::Json };
        let log = LogFile::new(format);
        let options = ProxyOptions {
            access_log: Some(log.option()),
            // What keeps connections busy is not waited for.
            drain_time: Duration::from_millis(10),
            ..super::options(workers)
        };
        Self { rig: Rig::start_with(options, hosts, change), log }
    }

    /// The counters and gauges now.
    pub fn numbers(&self) -> Numbers {
        self.rig.numbers()
    }

    /// A request that is under way at `upstream` as long as the gate is shut.
    pub async fn busy(&self, upstream: &Upstream) -> Client {
        let before = upstream.counts().in_flight;
        let mut client = self.rig.client().await;
        client.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == before + 1).await;
        client
    }

    /// `GET /judged` by a client of its own.
    pub async fn judge_get(self) -> Seen {
        self.judge(&format!("GET {JUDGED} HTTP/1.1\r\nHost: a\r\n\r\n")).await
    }

    /// Sends these bytes and looks at everything that comes of them. Ends the proxy.
    pub async fn judge(self, request: &str) -> Seen {
        self.judge_with(request, async || {}).await
    }

    /// The same; `meanwhile` runs when the head of an answer has come.
    pub async fn judge_with(self, request: &str, meanwhile: impl AsyncFnOnce()) -> Seen {
        let mut client = self.rig.client().await;
        let (before, series) = (self.numbers(), self.rig.series());
        let earlier = self.rig.refusals().len();
        client.send(request).await;
        let mut answer = client.head().await.unwrap();
        meanwhile().await;
        let whole = client.body(&mut answer).await;
        let refusals = self.rig.refusals().split_off(earlier);
        self.settled(&before).await;
        let (grew, ended) = (self.grown(&before), self.rig.series().since(&series));
        let connection = match (whole, answer.field("connection")) {
            (Err(ReadFailure::Closed(_) | ReadFailure::Reset), _) => Connection::Broken,
            (Err(failure), _) => panic!("the answer neither ends nor breaks off: {failure:?}"),
            (Ok(()), Some("close")) => {
                assert_eq!(client.closed().await, b"", "nothing follows the answer");
                Connection::Closed
            }
            (Ok(()), _) => {
                // Answered at once, whatever the upstream is busy with.
                client.send("CONNECT next:80 HTTP/1.1\r\nHost: next:80\r\n\r\n").await;
                assert_eq!(client.response().await.status, 501);
                Connection::Usable
            }
        };
        drop(client);
        let line = self.judged_line();
        Seen { answer: Some(answer), connection, grew, ended, refusals, line }
    }

    /// Sends a request and goes away once `wait` is over. Ends the proxy.
    pub async fn judge_leaving(self, request: &str, wait: impl AsyncFnOnce()) -> Seen {
        let mut client = self.rig.client().await;
        let (before, series) = (self.numbers(), self.rig.series());
        client.send(request).await;
        wait().await;
        client.close();
        let left = || self.numbers().get("http.downstream_rq_rx_reset") == 1;
        assert!(settle(PATIENCE, left).await, "the proxy never noticed");
        self.settled(&before).await;
        let (grew, refusals) = (self.grown(&before), self.rig.refusals());
        let ended = self.rig.series().since(&series);
        let line = self.judged_line();
        Seen { answer: None, connection: Connection::Broken, grew, ended, refusals, line }
    }

    /// The same for a client that switches protocols, and then neither sends nor ends anything.
    pub async fn judge_switched(self, request: &str) -> Seen {
        let mut client = self.rig.client().await;
        let (before, series) = (self.numbers(), self.rig.series());
        client.send(request).await;
        let answer = client.head().await.unwrap();
        client.received(1).await.unwrap_err();
        self.settled(&before).await;
        let (grew, refusals) = (self.grown(&before), self.rig.refusals());
        let ended = self.rig.series().since(&series);
        let line = self.judged_line();
        Seen { answer: Some(answer), connection: Connection::Broken, grew, ended, refusals, line }
    }

    /// Waits until the judged exchange is over: a counter may follow the answer's last byte.
    async fn settled(&self, before: &Numbers) {
        let active = "http.downstream_rq_active";
        let over = || self.numbers().get(active) == before.get(active);
        assert!(settle(PATIENCE, over).await, "the exchange never ended");
    }

    fn grown(&self, before: &Numbers) -> BTreeMap<String, i64> {
        let after = self.numbers();
        let grew = after.since(before).into_iter().filter(|(name, _)| !is_everyday(name));
        grew.map(|(name, by)| (name.to_owned(), by)).collect()
    }

    /// Ends the proxy and finds the line of the judged request.
    pub fn judged_line(self) -> LogLine {
        let Self { rig, log } = self;
        rig.proxy.drain();
        rig.proxy.join();
        let lines = log.lines();
        // What could not be parsed has no path, and CONNECT has only an authority.
        let mut judged = lines.iter().filter(|line| [JUDGED, "-", "a:80"].contains(&line.path.as_str()));
        let line = judged.next().unwrap_or_else(|| panic!("no line in {lines:?}")).clone();
        assert_eq!(judged.next(), None, "one line for one request");
        line
    }
}

/// What grows with every request or connection, and gauges.
fn is_everyday(name: &str) -> bool {
    const EVERYDAY: [&str; 20] = [
        "circuit_breakers.",
        "external.",
        "fuseboard.limit.",
        "upstream_cx_active",
        "upstream_cx_http1_total",
        "upstream_cx_http2_total",
        "upstream_cx_total",
        "upstream_cx_destroy",
        "upstream_cx_rx_bytes",
        "upstream_cx_tx_bytes",
        "upstream_rq_active",
        "upstream_rq_completed",
        "upstream_rq_total",
        "membership_",
        "listener.downstream_cx_",
        "http.downstream_cx_http1_",
        "http.downstream_cx_rx_",
        "http.downstream_cx_tx_",
        "http.downstream_rq_completed",
        "http.downstream_rq_http1_total",
    ];
    const WHOLE: [&str; 6] = [
        "http.downstream_cx_total",
        "http.downstream_cx_active",
        "http.downstream_rq_total",
        "http.downstream_rq_active",
        "http.rq_total",
        "http.downstream_cx_destroy",
    ];
    let telling = ["upstream_rq_active_overflow", "upstream_cx_destroy_remote_with_active_rq"];
    (EVERYDAY.iter().any(|prefix| name.starts_with(prefix)) && !telling.contains(&name))
        || name.starts_with("http.downstream_cx_destroy")
        || WHOLE.contains(&name)
}

impl Seen {
    /// Without what came of the answer's body: how much that is depends on the system's buffers.
    pub fn without_body(mut self) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.body.clear();
        }
        self
    }

    /// Holds what was seen against what is expected, and both against the row of the table.
    pub fn expect(&self, cause: Cause, expected: &Expected) {
        self.expect_answer(expected);
        self.expect_counted(cause, expected);
        self.expect_metrics(expected);
        self.expect_remembered(expected);
        self.expect_logged(cause, expected);
        let row = cause.row();
        let answered = if row.status == 0 { expected.status } else { row.status };
        assert_eq!((answered, row.flag), (expected.status, last(expected.flags)), "row of {cause:?}");
        assert_eq!((row.reason, row.overloaded), (expected.reason, expected.overloaded), "row of {cause:?}");
        match row.body {
            Body::Text(text) if row.status != 0 => assert_eq!(text, expected.body, "row of {cause:?}"),
            Body::Reset(reason) => assert!(expected.body.ends_with(reason), "row of {cause:?}"),
            Body::Text(_) | Body::Problem => {}
        }
    }

    fn expect_answer(&self, expected: &Expected) {
        assert_eq!(self.connection, expected.connection);
        let Some(answer) = &self.answer else {
            assert_eq!(expected.status, 0, "there is an answer");
            return;
        };
        assert_eq!((answer.status, answer.text()), (expected.status, expected.body));
        if expected.connection == Connection::Broken {
            return;
        }
        let length = expected.body.len().to_string();
        assert_eq!(answer.fields("content-length"), [length.as_str()]);
        let text = (!expected.body.is_empty()).then_some("text/plain");
        assert_eq!(answer.field("content-type"), text);
        assert_eq!(answer.field("x-envoy-overloaded"), expected.overloaded.then_some("true"));
        assert_eq!(answer.field("x-fuseboard-refused"), expected.reason.map(RefusalReason::token));
        assert_eq!(answer.field("server"), Some("fuseboard"));
        assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT")), "a date");
        assert_eq!(answer.field("x-envoy-upstream-service-time"), None, "no upstream answered");
    }

    fn expect_counted(&self, cause: Cause, expected: &Expected) {
        let counter = cause.row().counter;
        let mentions = |name: &&&str| name.trim_start_matches("http.") == counter;
        assert!(
            counter.is_empty() || expected.counters.iter().any(|name| mentions(&name)),
            "the counter of {cause:?} is not among {:?}",
            expected.counters
        );
        let refused = expected.reason.map(|reason| format!("fuseboard.refused.{}", reason.token()));
        let mut names: Vec<String> = expected.counters.iter().map(|name| (*name).to_owned()).collect();
        names.extend(refused);
        let (status, class) = (expected.status, expected.status / 100);
        // Envoy's router does not charge the cluster with what it says when a stream is too old.
        let charged = !matches!(cause, Cause::MaxDuration | Cause::MaxDurationInRequest);
        if status != 0 && charged && is_of_cluster(cause) {
            names.extend([format!("upstream_rq_{status}"), format!("upstream_rq_{class}xx")]);
        }
        if status != 0 {
            names.push(format!("http.downstream_rq_{class}xx"));
        }
        let expected: BTreeMap<String, i64> = names.into_iter().map(|name| (name, 1)).collect();
        assert_eq!(self.grew, expected, "{cause:?} counts each of these once, and nothing else");
    }

    fn expect_metrics(&self, expected: &Expected) {
        let refused = expected.reason.map_or("", RefusalReason::token);
        let ended = (expected.status.to_string(), expected.flags.to_owned(), refused.to_owned());
        assert_eq!(self.ended, [(ended, 1)].into(), "Istio's metrics");
    }

    fn expect_remembered(&self, expected: &Expected) {
        let found: Vec<_> = self.refusals.iter().map(|record| record.reason).collect();
        assert_eq!(found, expected.reason.into_iter().collect::<Vec<_>>(), "refusal records");
        for record in &self.refusals {
            assert_eq!((record.status, record.flag), (expected.status, last(expected.flags)));
            assert_eq!(record.cluster.as_deref(), Some("rig"));
            assert_eq!(&*record.listener, "test");
        }
    }

    fn expect_logged(&self, cause: Cause, expected: &Expected) {
        let line = &self.line;
        assert_eq!((line.code, line.flags.as_str()), (expected.status, expected.flags), "{line:?}");
        assert_eq!(line.details, expected.details, "{line:?}");
        assert_eq!(line.reason, expected.reason.map_or("-", RefusalReason::token), "{line:?}");
        assert_eq!(line.upstream_host != "-", expected.host, "{line:?}");
        if expected.connection != Connection::Broken {
            assert_eq!(line.bytes_sent, expected.body.len() as u64, "{line:?}");
        }
        if is_of_cluster(cause) {
            assert_eq!((line.cluster.as_str(), line.route.as_str()), ("rig", "default"), "{line:?}");
        }
        if line.path == JUDGED {
            assert_eq!(line.authority, "a", "{line:?}");
        }
    }
}

/// Whether the cluster counts the status: it does of what its hosts or its limits answered.
fn is_of_cluster(cause: Cause) -> bool {
    let row = cause.row();
    row.reason.is_some() || matches!(row.flag, "UF" | "UC" | "UR" | "UT" | "UMSDR" | "UPE")
}

/// The last of flags in a row is the one that ended the exchange.
fn last(flags: &'static str) -> &'static str {
    flags.rsplit(',').next().unwrap_or_default()
}

/// An upstream that answers when the gate lets it.
pub async fn held() -> (Gate, Upstream) {
    let gate = Gate::new();
    let script = Script::always(Behaviour::answer(&Reply::ok("held")).after(&gate));
    (gate, Upstream::start(script).await)
}
