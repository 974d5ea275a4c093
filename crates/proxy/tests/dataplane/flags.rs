//! Every row of the table of local answers, provoked through real sockets with one worker and with four: what the client
//! gets, what becomes of its connection, what is counted, remembered and logged. A row without a test does not compile.

mod failed;
mod refused;

use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::Cause;
use fuseboard_testkit::{Script, Upstream, settle};

use crate::rig::judge::{Connection, Expected, JUDGED, Stage};

/// A time-out that is meant to run out.
const SHORT: Duration = Duration::from_millis(40);

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

    pub(super) use super::failed::*;
    pub(super) use super::refused::*;
}

/// The judged request with more fields.
pub(crate) fn judged(fields: &str) -> String {
    format!("GET {JUDGED} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}
