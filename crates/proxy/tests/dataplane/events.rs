//! What the stream of events tells of a proxy at work: each change once, and edges in place of every refusal.

use std::time::Duration;

use fuseboard_admin::AdminClient;
use fuseboard_admin::follow::{EventStream, Next};
use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Script, Upstream};
use serde_json::Value;

use crate::breaker::{failing, trips_at_once};
use crate::rig::{Rig, WORKERS, limits, touchy};

const WAIT: Duration = Duration::from_secs(10);

pub(crate) fn follow(rig: &Rig) -> EventStream {
    let admin = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    let mut stream = admin.follow("/fuseboard/v1/events?service=rig", None).unwrap();
    assert_eq!(next(&mut stream)["what"], Value::Null, "hello");
    stream
}

pub(crate) fn next(stream: &mut EventStream) -> Value {
    match stream.next(WAIT).unwrap() {
        Next::Event(event) => serde_json::from_str(&event.data).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn order(rig: &Rig, order: &str) {
    let admin = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    assert_eq!(admin.post(&format!("/fuseboard/v1/breakers/{order}")).unwrap().status, 200);
}

#[tokio::test]
async fn p43_trips_and_orders_are_told_with_why_and_by_whom() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::always(failing())).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
        });
        let mut stream = follow(&rig);
        assert_eq!(rig.client().await.get("a", "/").await.status, 500);
        let trip = next(&mut stream);
        assert_eq!(
            (&trip["what"], &trip["from"], &trip["to"]),
            (&"breaker".into(), &"closed".into(), &"open".into())
        );
        assert_eq!(trip["cause"]["words"], "1 failures in a row");

        order(&rig, "close?cluster=rig&for=1h&reason=drill&by=me");
        order(&rig, "open?cluster=rig&for=150ms&reason=again&by=you");
        let what = |event: &Value| event["what"].as_str().unwrap().to_owned();
        let told: Vec<_> = (0..7).map(|_| next(&mut stream)).collect();
        let kinds: Vec<_> = told.iter().map(what).collect();
        assert_eq!(
            kinds,
            [
                "breaker",
                "override_set",
                "override_ended",
                "breaker",
                "override_set",
                "breaker",
                "override_ended"
            ]
        );
        assert_eq!((&told[1]["force"], &told[1]["by"]), (&"closed".into(), &"me".into()));
        assert_eq!(told[1]["time_ms"], 3_600_000);
        assert_eq!((&told[2]["how"], &told[2]["reason"]), (&"replaced".into(), &"drill".into()));
        assert_eq!((&told[5]["to"], &told[6]["how"]), (&"half_open".into(), &"expired".into()));
    }
}

#[tokio::test]
async fn a_limit_that_refuses_many_calls_is_told_of_when_it_begins_and_when_it_is_over() {
    for workers in WORKERS {
        let gate = Gate::new();
        let upstream =
            Upstream::start(Script::always(Behaviour::answer(&Reply::ok("well")).after(&gate))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, 100);
        });
        let mut stream = follow(&rig);
        let mut busy = rig.client().await;
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        upstream.until(|counts| counts.in_flight == 1).await;
        for _ in 0..30 {
            assert_eq!(rig.client().await.get("a", "/").await.status, 503);
        }
        let reached = next(&mut stream);
        assert_eq!((&reached["what"], &reached["bound"]), (&"limit_reached".into(), &0.into()));
        assert_eq!(reached["cause"]["token"], "limit.queue_full");
        assert_eq!(reached["setting"], "http1MaxPendingRequests");
        let left = next(&mut stream);
        assert_eq!((&left["what"], &left["refused"]), (&"limit_left".into(), &30.into()), "{left}");
        gate.open();
        busy.response().await;
    }
}

#[tokio::test]
async fn ejections_returns_and_refused_ejections_are_told_with_their_arithmetic() {
    for workers in WORKERS {
        let (one, two) = (
            Upstream::start(Script::always(failing())).await,
            Upstream::start(Script::always(failing())).await,
        );
        let rig = Rig::start(workers, &[one.address(), two.address()], |draft| {
            let mut policy = touchy();
            policy.max_ejection_percent = 50;
            policy.base_ejection_time = Duration::from_millis(100);
            policy.interval = Duration::from_millis(100);
            draft.cluster.outlier = Some(policy);
        });
        let mut stream = follow(&rig);
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..6 {
            clients.push(rig.client().await);
        }
        let mut told: Vec<Value> = Vec::new();
        let has = |told: &[Value], what: &str| told.iter().any(|event| event["what"] == what);
        for _ in 0..200 {
            if ["ejected", "ejection_refused", "returned"].iter().all(|what| has(&told, what)) {
                break;
            }
            for client in &mut clients {
                client.get("a", "/").await;
            }
            while let Next::Event(event) = stream.next(Duration::from_millis(20)).unwrap() {
                told.push(serde_json::from_str(&event.data).unwrap());
            }
        }
        let of = |what: &str| told.iter().find(|event| event["what"] == what).unwrap();
        assert_eq!(of("ejected")["cause"]["words"], "consecutive 5xx");
        let refused = of("ejection_refused");
        assert_eq!(
            refused["cause"]["words"], "consecutive 5xx; 1 of 2 hosts are out, one more is over 50 %",
            "{refused}"
        );
        assert!(of("returned")["host"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
}
