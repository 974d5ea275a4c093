//! P11 through real sockets: status, point of the reset, side of the time-out, under several classifiers; what each counts as,
//! and whether the host goes.

use std::net::SocketAddr;
use std::time::Duration;

use fuseboard_core::classifier::{FailureClassifier, StatusSet, Verdict};
use fuseboard_core::outlier::{Detector, OutlierPolicy};
use fuseboard_testkit::{Behaviour, RefusingPort, Reply, Script, UnansweringPort, Upstream, settle};

use crate::rig::{Draft, Rig, WORKERS};

/// A time-out that is meant to run out.
const SHORT: Duration = Duration::from_millis(40);

/// What counted: 5xx, gateway failures, local failures.
type Counted = [u64; 3];

const NOTHING: Counted = [0, 0, 0];
const PLAIN: Counted = [1, 0, 0];
const GATEWAY: Counted = [1, 1, 0];
const LOCAL: Counted = [0, 0, 1];

/// How a call ends.
enum End {
    Answer(u16),
    CloseBeforeHead,
    ResetBeforeHead,
    CloseInBody,
    NotHttp,
    RouteTimeout,
    TryTimeout,
    Refused,
    ConnectTimeout,
    ClientGone,
}

fn ignoring(change: fn(&mut FailureClassifier)) -> FailureClassifier {
    let mut classifier = FailureClassifier::default();
    change(&mut classifier);
    classifier
}

fn only(statuses: &[u16]) -> FailureClassifier {
    FailureClassifier { failures: StatusSet::of(statuses), ..FailureClassifier::default() }
}

/// Each case with its classifier, the split, and what is to be counted.
fn table() -> Vec<(End, Option<FailureClassifier>, bool, Counted)> {
    vec![
        (End::Answer(200), None, false, NOTHING),
        (End::Answer(429), None, false, NOTHING),
        (End::Answer(429), Some(only(&[429])), false, PLAIN),
        (End::Answer(429), Some(only(&[429])), true, PLAIN),
        (End::Answer(500), None, false, PLAIN),
        (End::Answer(500), Some(only(&[429])), false, NOTHING),
        (End::Answer(500), Some(FailureClassifier::gateway()), false, NOTHING),
        (End::Answer(503), Some(FailureClassifier::gateway()), false, GATEWAY),
        (End::Answer(503), Some(ignoring(|c| c.ignored = StatusSet::of(&[503]))), false, NOTHING),
        (End::CloseBeforeHead, None, false, GATEWAY),
        (End::CloseBeforeHead, Some(ignoring(|c| c.reset = Verdict::Ignored)), false, NOTHING),
        (End::ResetBeforeHead, Some(only(&[429])), false, GATEWAY),
        (End::ResetBeforeHead, None, true, LOCAL),
        (End::ResetBeforeHead, Some(ignoring(|c| c.reset = Verdict::Ignored)), true, NOTHING),
        (End::CloseInBody, None, false, GATEWAY),
        (End::CloseInBody, Some(ignoring(|c| c.reset = Verdict::Ignored)), false, NOTHING),
        (End::NotHttp, None, false, GATEWAY),
        (End::NotHttp, Some(ignoring(|c| c.protocol_error = Verdict::Ignored)), false, NOTHING),
        (End::RouteTimeout, None, false, GATEWAY),
        (End::RouteTimeout, Some(ignoring(|c| c.timeout = Verdict::Ignored)), false, NOTHING),
        (End::TryTimeout, None, false, GATEWAY),
        (End::TryTimeout, Some(ignoring(|c| c.timeout = Verdict::Ignored)), false, NOTHING),
        (End::Refused, None, false, GATEWAY),
        (End::Refused, None, true, LOCAL),
        (End::Refused, Some(ignoring(|c| c.connect_failed = Verdict::Ignored)), true, NOTHING),
        (End::Refused, Some(ignoring(|c| c.connect_timeout = Verdict::Ignored)), false, GATEWAY),
        (End::ConnectTimeout, None, false, GATEWAY),
        (End::ConnectTimeout, Some(ignoring(|c| c.connect_timeout = Verdict::Ignored)), false, NOTHING),
        (End::ClientGone, None, false, NOTHING),
    ]
}

fn detectors(classifier: Option<FailureClassifier>, split: bool) -> OutlierPolicy {
    let at_once = Detector { threshold: 1, enforcing_percent: 100 };
    OutlierPolicy {
        max_ejection_percent: 100,
        consecutive_5xx: at_once,
        // Looked at first, and not enforced, so that both are counted.
        consecutive_gateway_failure: Detector { enforcing_percent: 0, ..at_once },
        consecutive_local_origin_failure: at_once,
        split_external_local_origin_errors: split,
        classifier: classifier.map(Box::new),
        ..OutlierPolicy::default()
    }
}

/// Makes the call; returns once it has ended.
async fn call(workers: usize, host: SocketAddr, end: &End, policy: &OutlierPolicy) -> Rig {
    let rig = Rig::start(workers, &[host], |draft: &mut Draft| {
        draft.cluster.outlier = Some(policy.clone());
        match end {
            End::RouteTimeout => draft.route.timeout = Some(SHORT),
            End::TryTimeout => {
                let retries = draft.retries();
                retries.num_retries = 0;
                retries.per_try_timeout = Some(SHORT);
            }
            End::ConnectTimeout => draft.cluster.connect_timeout = SHORT,
            _ => {}
        }
    });
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    match end {
        End::ClientGone => {
            let cluster = rig.cluster();
            let sent = || cluster.hosts[0].load.active() == 1;
            assert!(settle(Duration::from_secs(5), sent).await);
            client.close();
        }
        End::CloseInBody => drop(client.try_response().await),
        _ => drop(client.response().await),
    }
    rig.until_idle().await;
    rig
}

#[tokio::test]
async fn p11_status_reset_point_and_time_out_side_count_as_documented() {
    for workers in WORKERS {
        let refusing = RefusingPort::bind();
        let unanswering = UnansweringPort::bind().await;
        for (row, (end, classifier, split, expected)) in table().into_iter().enumerate() {
            let answer = Behaviour::answer(&Reply::ok("ok"));
            let behaviour = match end {
                End::Answer(status) => Behaviour::answer(&Reply::status(status)),
                End::CloseBeforeHead => Behaviour::close(),
                End::ResetBeforeHead => Behaviour::reset(),
                End::CloseInBody => Behaviour::close_in_body(&Reply::ok("cut short"), 3),
                End::NotHttp => Behaviour::raw("220 smtp.example ESMTP\r\n"),
                End::RouteTimeout | End::TryTimeout | End::ClientGone => Behaviour::silent(),
                End::Refused | End::ConnectTimeout => answer,
            };
            let upstream = Upstream::start(Script::always(behaviour)).await;
            let host = match end {
                End::Refused => refusing.address(),
                End::ConnectTimeout => unanswering.address(),
                _ => upstream.address(),
            };
            let rig = call(workers, host, &end, &detectors(classifier, split)).await;
            let counted = [
                rig.count(|block| block.outlier.ejections_detected_consecutive_5xx.get()),
                rig.count(|block| block.outlier.ejections_detected_consecutive_gateway_failure.get()),
                rig.count(|block| block.outlier.ejections_detected_consecutive_local_origin_failure.get()),
            ];
            assert_eq!(counted, expected, "row {row}, {workers} workers");
            let ejected = rig.cluster().hosts[0].monitor.is_ejected();
            assert_eq!(ejected, expected != NOTHING, "row {row}, {workers} workers");
        }
    }
}
