//! Requests that we refuse: limits that are reached, nobody to ask, an open breaker, TLS that cannot be had.

use std::time::Duration;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::Availability;
use fuseboard_testkit::{Behaviour, Gate, Reply, Script, Upstream, settle};

use super::{PLAIN, REFUSED_BY_LIMIT, SHORT};
use crate::breaker::{failing, probe, trips_at_once};
use crate::rig::judge::{Expected, JUDGED, Seen, Stage, held};
use crate::rig::limits;

const UNLIMITED: u32 = u32::MAX;

/// Limits, with every connection busy.
pub(super) async fn d11_p04_the_request_behind_a_full_queue_is_refused(workers: usize) -> (Seen, Expected) {
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
    let request = format!("GET {JUDGED} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
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

pub(super) async fn d32_a_half_open_breaker_refuses_all_but_its_probes(workers: usize) -> (Seen, Expected) {
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

pub(super) async fn p04_a_rule_that_wants_tls_is_not_served_in_plaintext(workers: usize) -> (Seen, Expected) {
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
