//! Every row of the table of local answers, provoked through real sockets with one worker and with four: what the client
//! gets, what becomes of its connection, what is counted, remembered and logged. A row without a test does not compile.

use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::Cause;
use fuseboard_snapshot::{Availability, Domain};
use fuseboard_testkit::{Behaviour, Gate, RefusingPort, Reply, Script, UnansweringPort, Upstream, settle};

use crate::breaker::{failing, probe, trips_at_once};
use crate::rig::judge::{Connection, Expected, JUDGED, Seen, Stage, held};
use crate::rig::limits;
use crate::rig::numbers::Numbers;

const UNLIMITED: u32 = u32::MAX;

/// A time-out that is meant to run out.
const SHORT: Duration = Duration::from_millis(40);

/// More than the system takes for a client that does not read.
const LARGE: usize = 32 << 20;

const OVERFLOW: &str = "upstream connect error or disconnect/reset before headers. reset reason: overflow";

const REFUSED_BY_LIMIT: Expected = Expected {
    status: 503,
    flags: "UO",
    details: "upstream_reset_before_response_started{overflow}",
    body: OVERFLOW,
    reason: None,
    overloaded: true,
    counters: &[],
    host: false,
    connection: Connection::Usable,
};

pub(crate) const PLAIN: Expected = Expected { overloaded: false, host: true, ..REFUSED_BY_LIMIT };

/// What is counted of an answer that we break off, for this reason.
pub(crate) const fn broken_off(reason: &'static str) -> [&'static str; 3] {
    [reason, "http.downstream_rq_tx_reset", "http.downstream_rq_rx_reset"]
}

pub(crate) const BROKEN: Expected = Expected { status: 200, connection: Connection::Broken, ..PLAIN };

/// One test for each row; the match has no wildcard, so a new row needs a test.
macro_rules! rows {
    ($($cause:ident: $name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                for workers in [1, 4] {
                    let (seen, expected) = provoke::$name(workers).await;
                    seen.expect(Cause::$cause, &expected);
                }
            }
        )*

        const fn test_of(cause: Cause) -> &'static str {
            match cause {
                $(Cause::$cause => stringify!($name),)*
            }
        }
    };
}

rows! {
    QueueFull: d11_p04_the_request_behind_a_full_queue_is_refused,
    QueueTimeout: d14_p04_a_request_leaves_the_queue_when_its_time_there_is_over,
    RequestLimit: p04_a_request_above_the_request_limit_is_refused,
    ConnectionLimit: d15_p04_an_upgrade_never_waits_for_a_connection,
    PoolLimit: p04_a_host_above_the_limit_of_pools_is_refused,
    NoHealthyHost: p04_without_a_host_nobody_is_asked,
    BreakerOpen: d32_an_open_breaker_refuses_at_once,
    BreakerProbeBusy: d32_a_half_open_breaker_refuses_all_but_its_probes,
    BreakerRamp: d32_a_breaker_that_has_closed_lets_traffic_back_in_steps,
    TlsUnsupported: p04_a_rule_that_wants_tls_is_not_served_in_plaintext,
    TlsNotReady: p04_a_rule_without_its_certificates_is_not_served_in_plaintext,
    NoRoute: an_unknown_host_is_not_found,
    ConnectMethod: connect_is_not_offered,
    HandshakeFailed: a_host_without_tls_is_a_failed_connection,
    ConnectFailed: d12_a_refused_connect_tells_its_reason_to_the_log_only,
    ConnectTimeout: a_connect_that_takes_too_long_is_given_up,
    ConnectLocal: a_connect_that_cannot_even_be_tried_is_our_own_failure,
    ConnectionTermination: an_upstream_that_closes_without_an_answer_is_a_termination,
    CutInHead: an_upstream_that_closes_inside_its_head_is_a_bad_gateway,
    RemoteReset: a_stream_that_the_host_resets_is_a_remote_reset,
    StreamRefused: a_stream_that_the_host_refuses_says_so,
    ProtocolError: an_upstream_that_does_not_speak_http_is_a_bad_gateway,
    RouteTimeout: a_route_that_takes_too_long_is_a_gateway_timeout,
    TryTimeout: a_try_that_takes_too_long_is_a_gateway_timeout,
    MaxDuration: a_stream_that_is_too_old_before_its_answer_is_a_gateway_timeout,
    MaxDurationInRequest: a_stream_that_is_too_old_before_its_request_is_whole_is_a_timeout_of_the_request,
    TerminatedInBody: an_answer_whose_stream_loses_its_connection_is_broken_off,
    CutInBody: an_answer_that_the_upstream_cuts_short_is_broken_off,
    RemoteResetInBody: an_answer_whose_stream_the_host_resets_is_broken_off,
    ProtocolErrorInBody: an_answer_whose_chunks_break_is_broken_off,
    TimeoutInBody: an_answer_that_outlasts_its_route_is_broken_off,
    MaxDurationInBody: an_answer_that_outlasts_its_stream_is_broken_off,
    BadRequest: an_ambiguous_request_is_bad,
    NoHost: a_request_without_a_host_is_bad,
    HeadTooLarge: a_head_above_the_bound_is_too_large,
    UnsupportedCoding: a_transfer_coding_that_we_do_not_have_is_not_implemented,
    UnsupportedVersion: d63_a_version_that_we_do_not_have_is_not_supported,
    UnsupportedExpectation: d55_an_expectation_that_we_do_not_have_fails,
    HeadTimeout: a_head_that_does_not_come_to_an_end_times_out,
    BadBody: a_body_with_broken_chunks_is_bad,
    BodyTimeout: a_body_that_stops_arriving_times_out,
    AnswerTimeout: an_answer_that_its_client_stops_taking_is_broken_off,
    TunnelTimeout: a_tunnel_that_nobody_uses_is_broken_off,
    ClientGone: a_client_that_goes_away_is_noted,
}

#[test]
fn every_row_of_the_table_has_its_own_test() {
    let mut tests: Vec<_> = Cause::ALL.into_iter().map(test_of).collect();
    tests.sort_unstable();
    tests.dedup();
    assert_eq!(tests.len(), Cause::ALL.len());
}

/// The one refusal that has no answer, and so no row.
#[tokio::test]
async fn p04_a_connection_above_the_listeners_bound_is_closed_counted_and_remembered() {
    for workers in [1, 4] {
        let upstream = Upstream::start(Script::ok("served")).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.listener.http.max_connections = 1;
        });
        let mut first = stage.rig.client().await;
        assert_eq!(first.get("a", "/").await.text(), "served");
        let over = || stage.numbers().get("http.downstream_rq_active") == 0;
        assert!(
            settle(Duration::from_secs(5), over).await,
            "the last byte goes out before the end is counted"
        );
        let before = stage.numbers();
        let mut second = stage.rig.client().await;
        assert_eq!(second.closed().await, b"");
        let after = stage.numbers();
        let expected = [
            ("listener.downstream_cx_overflow", 1),
            ("listener.fuseboard.refused.limit.downstream_connections", 1),
        ];
        assert_eq!(after.since(&before).into_iter().collect::<Vec<_>>(), expected);
        let records = stage.rig.refusals();
        assert_eq!(records.len(), 1);
        let record = &records[0];
        assert_eq!(record.reason, RefusalReason::LimitDownstreamConnections);
        assert_eq!((record.bound, record.value, record.cluster.as_deref()), (Some(1), Some(1), None));

        assert_eq!(first.get("a", "/").await.text(), "served", "the first is not touched");
        first.close();
        let free = || stage.numbers().get("listener.downstream_cx_active") == 0;
        assert!(settle(Duration::from_secs(5), free).await);
        assert_eq!(stage.rig.client().await.get("a", "/").await.text(), "served", "its place is free again");
    }
}

/// What has to happen so that a row applies. Each gives what was seen, and what Envoy's page or ours says.
mod provoke {
    use super::*;
    pub(super) use crate::host_streams::{
        a_stream_that_the_host_refuses_says_so, a_stream_that_the_host_resets_is_a_remote_reset,
        an_answer_whose_stream_loses_its_connection_is_broken_off,
        an_answer_whose_stream_the_host_resets_is_broken_off,
    };
    pub(super) use crate::malformed::{
        a_body_that_stops_arriving_times_out, a_body_with_broken_chunks_is_bad,
        a_head_above_the_bound_is_too_large, a_head_that_does_not_come_to_an_end_times_out,
        a_request_without_a_host_is_bad, a_transfer_coding_that_we_do_not_have_is_not_implemented,
        an_ambiguous_request_is_bad, d55_an_expectation_that_we_do_not_have_fails,
        d63_a_version_that_we_do_not_have_is_not_supported,
    };
    pub(super) use crate::stream_age::{
        a_stream_that_is_too_old_before_its_answer_is_a_gateway_timeout,
        a_stream_that_is_too_old_before_its_request_is_whole_is_a_timeout_of_the_request,
        an_answer_that_outlasts_its_stream_is_broken_off,
    };
    pub(super) use crate::tls_failures::{
        a_host_without_tls_is_a_failed_connection,
        p04_a_rule_without_its_certificates_is_not_served_in_plaintext,
    };
    pub(super) use crate::upgrades::a_tunnel_that_nobody_uses_is_broken_off;

    /// Limits, with every connection busy.
    pub(super) async fn d11_p04_the_request_behind_a_full_queue_is_refused(
        workers: usize,
    ) -> (Seen, Expected) {
        let (_gate, upstream) = held().await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 0, UNLIMITED);
        });
        let _busy = stage.busy(&upstream).await;
        let expected = Expected {
            reason: Some(RefusalReason::LimitQueueFull),
            counters: &["upstream_rq_pending_overflow", "upstream_cx_overflow"],
            ..REFUSED_BY_LIMIT
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn d14_p04_a_request_leaves_the_queue_when_its_time_there_is_over(
        workers: usize,
    ) -> (Seen, Expected) {
        let (_gate, upstream) = held().await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 1, UNLIMITED);
            draft.cluster.queue_timeout = Some(SHORT);
        });
        let _busy = stage.busy(&upstream).await;
        let expected = Expected {
            reason: Some(RefusalReason::LimitQueueTimeout),
            counters: &[
                "fuseboard.upstream_rq_queue_timeout",
                "upstream_rq_pending_total",
                "upstream_cx_overflow",
                "upstream_rq_cancelled",
            ],
            ..REFUSED_BY_LIMIT
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn p04_a_request_above_the_request_limit_is_refused(workers: usize) -> (Seen, Expected) {
        let (_gate, upstream) = held().await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(8, 8, 1);
        });
        let _busy = stage.busy(&upstream).await;
        let expected = Expected {
            reason: Some(RefusalReason::LimitRequests),
            counters: &["upstream_rq_active_overflow"],
            ..REFUSED_BY_LIMIT
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn d15_p04_an_upgrade_never_waits_for_a_connection(workers: usize) -> (Seen, Expected) {
        let (_gate, upstream) = held().await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(1, 8, UNLIMITED);
        });
        let _busy = stage.busy(&upstream).await;
        let request =
            format!("GET {JUDGED} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        let expected = Expected {
            reason: Some(RefusalReason::LimitConnections),
            counters: &["upstream_cx_overflow"],
            ..REFUSED_BY_LIMIT
        };
        (stage.judge(&request).await, expected)
    }

    pub(super) async fn p04_a_host_above_the_limit_of_pools_is_refused(workers: usize) -> (Seen, Expected) {
        let gate = Gate::new();
        let busy = Upstream::start(Script::always(Behaviour::answer(&Reply::ok("busy")).after(&gate))).await;
        let other = Upstream::start(Script::ok("never asked")).await;
        let mut stage = Stage::start(workers, &[busy.address()], |draft| {
            draft.cluster.max_connection_pools = std::num::NonZeroU32::new(1);
        });
        let running = stage.busy(&busy).await;
        // The one that is busy gets nothing more.
        let hosts = [busy.address(), other.address()];
        stage.rig.apply(|draft| {
            draft.hosts(&hosts);
            draft.cluster.endpoints[0].health = fuseboard_snapshot::EndpointHealth::Unhealthy;
        });
        let expected = Expected {
            flags: "UH",
            details: "no_healthy_upstream",
            body: "no healthy upstream",
            reason: Some(RefusalReason::LimitPools),
            counters: &["upstream_cx_pool_overflow"],
            ..PLAIN
        };
        let seen = stage.judge_get().await;
        assert_eq!(other.counts().requests, 0);
        drop(running);
        (seen, expected)
    }

    pub(super) async fn p04_without_a_host_nobody_is_asked(workers: usize) -> (Seen, Expected) {
        let stage = Stage::start(workers, &[], |_| {});
        let expected = Expected {
            flags: "UH",
            details: "no_healthy_upstream",
            body: "no healthy upstream",
            reason: Some(RefusalReason::NoHealthy),
            counters: &["upstream_cx_none_healthy"],
            host: false,
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    /// Waits until so many requests are under way, those that the client has the last byte of no longer among them.
    async fn under_way(stage: &Stage, many: u64) {
        let there = || stage.numbers().get("http.downstream_rq_active") == many;
        assert!(settle(Duration::from_secs(5), there).await, "never {many} under way");
    }

    const REFUSED_BY_BREAKER: Expected =
        Expected { counters: &["fuseboard.breaker.refused"], ..REFUSED_BY_LIMIT };

    pub(super) async fn d32_an_open_breaker_refuses_at_once(workers: usize) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::always(failing())).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(trips_at_once(Duration::from_secs(60)));
        });
        assert_eq!(stage.rig.client().await.get("a", "/").await.status, 500);
        under_way(&stage, 0).await;
        let expected = Expected {
            details: "breaker_open",
            body: "circuit breaker open",
            reason: Some(RefusalReason::BreakerOpen),
            ..REFUSED_BY_BREAKER
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn d32_a_half_open_breaker_refuses_all_but_its_probes(
        workers: usize,
    ) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::always(failing())).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(trips_at_once(SHORT));
        });
        assert_eq!(stage.rig.client().await.get("a", "/").await.status, 500);
        let gate = Gate::new();
        upstream.follow(Script::always(Behaviour::answer(&Reply::ok("held")).after(&gate)));
        let _probe = probe(&stage.rig, &upstream).await;
        under_way(&stage, 1).await;
        let expected = Expected {
            details: "breaker_probe_busy",
            body: "circuit breaker half-open, probes in flight",
            reason: Some(RefusalReason::BreakerProbeBusy),
            ..REFUSED_BY_BREAKER
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn d32_a_breaker_that_has_closed_lets_traffic_back_in_steps(
        workers: usize,
    ) -> (Seen, Expected) {
        let upstream =
            Upstream::start(Script::in_order([failing(), Behaviour::answer(&Reply::ok("well"))])).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            let mut breaker = trips_at_once(SHORT);
            breaker.policy.ramp.ramp_for = Duration::from_secs(600);
            draft.cluster.breaker = Some(breaker);
        });
        assert_eq!(stage.rig.client().await.get("a", "/").await.status, 500);
        let mut probe = probe(&stage.rig, &upstream).await;
        assert_eq!(probe.response().await.text(), "well");
        // The first call on the ramp passes, one in ten of the others.
        assert_eq!(stage.rig.client().await.get("a", "/").await.text(), "well");
        under_way(&stage, 0).await;
        let expected = Expected {
            details: "breaker_ramp",
            body: "circuit breaker closing, part of the traffic",
            reason: Some(RefusalReason::BreakerRamp),
            ..REFUSED_BY_BREAKER
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn p04_a_rule_that_wants_tls_is_not_served_in_plaintext(
        workers: usize,
    ) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::ok("in the clear")).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.cluster.availability = Availability::Withheld(RefusalReason::TlsUnsupported);
        });
        let seen = stage.judge_get().await;
        assert_eq!(upstream.counts().accepted, 0, "nothing was sent");
        let expected = Expected {
            flags: "UF",
            details: "tls_unsupported",
            body: "the upstream's kind of TLS is not supported yet",
            reason: Some(RefusalReason::TlsUnsupported),
            host: false,
            ..PLAIN
        };
        (seen, expected)
    }

    pub(super) async fn an_unknown_host_is_not_found(workers: usize) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::ok("")).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.domains = vec![Domain::Exact("b".into())];
        });
        let expected = Expected {
            status: 404,
            flags: "NR",
            details: "route_not_found",
            body: "",
            counters: &["http.no_route"],
            host: false,
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn connect_is_not_offered(workers: usize) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::ok("")).await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let expected = Expected {
            status: 501,
            flags: "-",
            details: "connect_not_supported",
            body: "CONNECT is not supported; send the request itself with an absolute target",
            host: false,
            ..PLAIN
        };
        (stage.judge("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await, expected)
    }

    pub(super) async fn d12_a_refused_connect_tells_its_reason_to_the_log_only(
        workers: usize,
    ) -> (Seen, Expected) {
        let port = RefusingPort::bind();
        let stage = Stage::start(workers, &[port.address()], |_| {});
        let expected = Expected {
            flags: "UF",
            details: "upstream_reset_before_response_started{remote_connection_failure\
                      |delayed_connect_error:_Connection_refused}",
            body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection \
                   failure",
            counters: &["upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"],
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn a_connect_that_takes_too_long_is_given_up(workers: usize) -> (Seen, Expected) {
        let port = UnansweringPort::bind().await;
        let stage = Stage::start(workers, &[port.address()], |draft| draft.cluster.connect_timeout = SHORT);
        let expected = Expected {
            flags: "UF",
            details: "upstream_reset_before_response_started{connection_timeout}",
            body: "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
            counters: &[
                "upstream_cx_connect_fail",
                "upstream_cx_connect_timeout",
                "upstream_rq_pending_failure_eject",
            ],
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    /// A link-local address without its link: the system does not even try.
    pub(super) async fn a_connect_that_cannot_even_be_tried_is_our_own_failure(
        workers: usize,
    ) -> (Seen, Expected) {
        let stage = Stage::start(workers, &["[fe80::1]:80".parse().unwrap()], |_| {});
        let expected = Expected {
            flags: "UF",
            details: "upstream_reset_before_response_started{local_connection_failure}",
            body: "upstream connect error or disconnect/reset before headers. reset reason: local connection \
                   failure",
            counters: &["upstream_cx_connect_fail", "upstream_rq_pending_failure_eject"],
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn an_upstream_that_closes_without_an_answer_is_a_termination(
        workers: usize,
    ) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::always(Behaviour::close())).await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let expected = Expected {
            flags: "UC",
            details: "upstream_reset_before_response_started{connection_termination}",
            body: "upstream connect error or disconnect/reset before headers. reset reason: connection \
                   termination",
            counters: &["upstream_cx_destroy_remote_with_active_rq"],
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn an_upstream_that_closes_inside_its_head_is_a_bad_gateway(
        workers: usize,
    ) -> (Seen, Expected) {
        let cut = Behaviour::raw("HTTP/1.1 200 OK\r\nx-a: b\r\n").then_close();
        let upstream = Upstream::start(Script::always(cut)).await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let expected = Expected {
            status: 502,
            flags: "UPE",
            details: "upstream_reset_before_response_started{protocol_error}",
            body: "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
            counters: &["upstream_cx_protocol_error", "upstream_cx_destroy_remote_with_active_rq"],
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn an_upstream_that_does_not_speak_http_is_a_bad_gateway(
        workers: usize,
    ) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::always(Behaviour::raw("220 mail ready\r\n\r\n"))).await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let expected = Expected {
            status: 502,
            flags: "UPE",
            details: "upstream_reset_before_response_started{protocol_error}",
            body: "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
            counters: &["upstream_cx_protocol_error"],
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn a_route_that_takes_too_long_is_a_gateway_timeout(workers: usize) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| draft.route.timeout = Some(SHORT));
        let expected = Expected {
            status: 504,
            flags: "UT",
            details: "response_timeout",
            body: "upstream request timeout",
            counters: &["upstream_rq_timeout"],
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn a_try_that_takes_too_long_is_a_gateway_timeout(workers: usize) -> (Seen, Expected) {
        let upstream = Upstream::start(Script::always(Behaviour::silent())).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.retries().per_try_timeout = Some(SHORT);
        });
        let expected = Expected {
            status: 504,
            flags: "UT",
            details: "upstream_per_try_timeout",
            body: "upstream request timeout",
            counters: &["upstream_rq_per_try_timeout"],
            ..PLAIN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn an_answer_that_the_upstream_cuts_short_is_broken_off(
        workers: usize,
    ) -> (Seen, Expected) {
        let gate = Gate::new();
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nin";
        let behaviour = Behaviour::raw_then(head, &gate, "").then_close();
        let upstream = Upstream::start(Script::always(behaviour)).await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let expected = Expected {
            flags: "UPE",
            details: "upstream_reset_after_response_started{protocol_error}",
            body: "in",
            counters: &[
                "upstream_cx_destroy_remote_with_active_rq",
                "upstream_cx_protocol_error",
                "http.downstream_rq_tx_reset",
                "http.downstream_rq_rx_reset",
            ],
            ..BROKEN
        };
        (stage.judge_with(&judged(""), async || gate.open()).await, expected)
    }

    pub(super) async fn an_answer_whose_chunks_break_is_broken_off(workers: usize) -> (Seen, Expected) {
        let gate = Gate::new();
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let behaviour = Behaviour::raw_then(head, &gate, "two\r\nin\r\n");
        let upstream = Upstream::start(Script::always(behaviour)).await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let expected = Expected {
            flags: "UPE",
            details: "upstream_reset_after_response_started{protocol_error}",
            body: "",
            counters: &const { broken_off("upstream_cx_protocol_error") },
            ..BROKEN
        };
        (stage.judge_with(&judged(""), async || gate.open()).await, expected)
    }

    pub(super) async fn an_answer_that_outlasts_its_route_is_broken_off(workers: usize) -> (Seen, Expected) {
        let upstream =
            Upstream::start(Script::always(Behaviour::body_after(&Gate::new(), &Reply::ok("never")))).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| draft.route.timeout = Some(SHORT));
        let expected = Expected {
            flags: "UT",
            details: "response_timeout",
            body: "",
            counters: &const { broken_off("upstream_rq_timeout") },
            ..BROKEN
        };
        (stage.judge_get().await, expected)
    }

    pub(super) async fn an_answer_that_its_client_stops_taking_is_broken_off(
        workers: usize,
    ) -> (Seen, Expected) {
        let large = Reply::ok(vec![b'x'; LARGE]);
        let upstream = Upstream::start(Script::always(Behaviour::answer(&large))).await;
        let stage = Stage::start(workers, &[upstream.address()], |draft| {
            draft.listener.http.stream_idle_timeout = SHORT;
        });
        let admin = stage.rig.proxy.admin_address().unwrap().clone();
        let broken_off = async || {
            let over = || Numbers::read(&admin).get("http.downstream_rq_idle_timeout") == 1;
            assert!(settle(Duration::from_secs(5), over).await, "the client was waited for");
        };
        let expected = Expected {
            flags: "SI",
            details: "stream_idle_timeout",
            counters: &[
                "http.downstream_rq_idle_timeout",
                "http.downstream_rq_tx_reset",
                "http.downstream_rq_rx_reset",
                "upstream_rq_200",
                "upstream_rq_2xx",
            ],
            body: "",
            ..BROKEN
        };
        (stage.judge_with(&judged(""), broken_off).await.without_body(), expected)
    }

    pub(super) async fn a_client_that_goes_away_is_noted(workers: usize) -> (Seen, Expected) {
        let (_gate, upstream) = held().await;
        let stage = Stage::start(workers, &[upstream.address()], |_| {});
        let began = async || {
            upstream.until(|counts| counts.in_flight == 1).await;
        };
        let expected = Expected {
            status: 0,
            flags: "DC",
            details: "downstream_remote_disconnect",
            counters: &["http.downstream_rq_rx_reset"],
            body: "",
            ..BROKEN
        };
        (stage.judge_leaving(&judged(""), began).await, expected)
    }
}

/// The judged request with more fields.
pub(crate) fn judged(fields: &str) -> String {
    format!("GET {JUDGED} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}
