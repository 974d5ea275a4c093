//! Breakers of single endpoints in front of real upstreams: what reaches each server, seen by the server itself.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use fuseboard_admin::AdminClient;
use fuseboard_admin::breakers::Breakers;
use fuseboard_core::balance::LbPolicy;
use fuseboard_core::breaker::{BreakerPolicy, Mode, Percent, SlowPolicy, State, TripPolicy};
use fuseboard_core::limit::Priority;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::retry::RetryOn;
use fuseboard_snapshot::{BreakerScope, ClusterBreaker, EndpointId, Provenance};
use fuseboard_testkit::{Behaviour, Client, Gate, Reply, Response, Script, Upstream, settle};

use crate::breaker::failing;
use crate::rig::{Draft, Rig, limits};

const WORKERS: [usize; 3] = [1, 2, 8];
const PATIENCE: Duration = Duration::from_secs(5);
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn each(policy: BreakerPolicy) -> ClusterBreaker {
    let scope = BreakerScope::Endpoint;
    ClusterBreaker { scope, policy, rules: Vec::new(), provenance: Provenance::default() }
}

/// Opens after so many failures, for so long each time.
fn opens_after(failures: u32, open_for: Duration) -> BreakerPolicy {
    let trip = TripPolicy { consecutive_failures: NonZeroU32::new(failures), ..TripPolicy::default() };
    let mut policy = BreakerPolicy { trip, ..BreakerPolicy::default() };
    policy.open.open_for = open_for;
    policy.open.factor = 1.0;
    policy.open.jitter_percent = 0;
    policy
}

const LONG: Duration = Duration::from_secs(3_600);

async fn good() -> Upstream {
    Upstream::start(Script::ok("good")).await
}

async fn bad() -> Upstream {
    Upstream::start(Script::always(failing())).await
}

fn reason(response: &Response) -> Option<&str> {
    response.field("x-fuseboard-refused")
}

async fn get(rig: &Rig) -> Response {
    rig.client().await.get("a", "/").await
}

/// The state of the breaker of the endpoint at `index`.
fn state_of(rig: &Rig, index: usize) -> State {
    rig.cluster().host_breakers[index].state()
}

/// Calls until the breaker of the endpoint at `index` is open.
async fn until_open(rig: &Rig, index: usize) {
    let deadline = Instant::now() + PATIENCE;
    while state_of(rig, index) != State::Open {
        get(rig).await;
        assert!(Instant::now() < deadline, "it never opened");
    }
}

#[tokio::test]
async fn an_open_endpoint_gets_nothing_the_others_take_its_share_and_the_views_say_so() {
    for workers in WORKERS {
        let (bad, good) = (bad().await, good().await);
        let rig = Rig::start(workers, &[bad.address(), good.address()], |draft| {
            draft.cluster.breaker = Some(each(opens_after(3, LONG)));
        });
        until_open(&rig, 0).await;
        assert_eq!(bad.counts().requests, 3);
        for _ in 0..50 {
            assert_eq!(get(&rig).await.text(), "good");
        }
        assert_eq!(bad.counts().requests, 3);
        rig.until_idle().await;
        bad.until(|counts| counts.open == 0).await;
        let numbers = rig.numbers();
        for (name, count) in [
            ("opened", 1),
            ("refused", 0),
            ("state", 0),
            ("traffic_percent", 100),
            ("endpoints_open", 1),
            ("endpoints_half_open", 0),
        ] {
            assert_eq!(numbers.get(&format!("fuseboard.breaker.{name}")), count, "{name}");
        }
        assert_eq!(numbers.get("membership_healthy"), 1);
        assert!(rig.cluster().breaker.is_none());
    }
}

#[tokio::test]
async fn with_all_open_nobody_waits_and_the_answer_says_when_the_first_is_probed() {
    for workers in WORKERS {
        let hosts = [bad().await, bad().await];
        let rig = Rig::start(workers, &[hosts[0].address(), hosts[1].address()], |draft| {
            draft.cluster.breaker = Some(each(opens_after(2, Duration::from_millis(59_500))));
        });
        for _ in 0..4 {
            let answer = get(&rig).await;
            assert!(answer.status == 500 || reason(&answer) == Some("breaker.open"));
        }
        until_open(&rig, 0).await;
        until_open(&rig, 1).await;
        let before = rig.refused(RefusalReason::BreakerOpen);
        for _ in 0..20 {
            let refused = get(&rig).await;
            assert_eq!((refused.status, reason(&refused)), (503, Some("breaker.open")));
            let after: u64 = refused.field("retry-after").unwrap().parse().unwrap();
            assert!((50..=60).contains(&after), "{after} s");
        }
        assert_eq!(hosts.iter().map(|host| host.counts().requests).sum::<usize>(), 4);
        assert_eq!(rig.refused(RefusalReason::BreakerOpen), before + 20);
        let trip = rig.refusals().last().unwrap().trip.clone().unwrap();
        assert!(
            hosts.iter().any(|host| *trip == *format!("{}: 2 failures in a row", host.address())),
            "{trip}"
        );
        let numbers = rig.numbers();
        assert_eq!((numbers.get("fuseboard.breaker.state"), numbers.get("membership_healthy")), (1, 0));
        assert_eq!(numbers.get("upstream_cx_none_healthy"), 0, "a breaker decided");
    }
}

#[tokio::test]
async fn half_open_never_more_than_its_probes_are_at_the_server_and_the_rest_goes_to_the_other() {
    for workers in WORKERS {
        let (weak, good) = (bad().await, good().await);
        let rig = Rig::start(workers, &[weak.address(), good.address()], |draft| {
            let mut policy = opens_after(2, Duration::from_millis(50));
            policy.half_open.probes = NonZeroU32::new(2).unwrap();
            policy.half_open.successes = NonZeroU32::new(2).unwrap();
            draft.cluster.breaker = Some(each(policy));
        });
        until_open(&rig, 0).await;
        let failed = weak.counts().requests;
        let gate = Gate::new();
        weak.follow(Script::always(Behaviour::answer(&Reply::ok("well")).after(&gate)));
        let mut clients = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        // Calls until both probes are there, and a good many more.
        while weak.counts().in_flight < 2 {
            assert!(Instant::now() < deadline, "{} probes", weak.counts().in_flight);
            let mut client = rig.client().await;
            client.send(GET).await;
            settle(Duration::from_millis(5), || client.was_answered()).await;
            clients.push(client);
        }
        for _ in 0..30 {
            assert_eq!(get(&rig).await.text(), "good", "the probes are out, so it goes to the other");
        }
        assert_eq!((weak.counts().in_flight_peak, weak.counts().requests), (2, failed + 2));
        assert!(rig.refusals().is_empty());
        gate.open();
        for client in &mut clients {
            assert!(["good", "well"].contains(&client.response().await.text()));
        }
        assert!(settle(PATIENCE, || state_of(&rig, 0) == State::Closed).await);
        assert_eq!(rig.numbers().get("fuseboard.breaker.probes"), 2);
    }
}

#[tokio::test]
async fn a_single_endpoint_that_is_half_open_refuses_who_comes_while_its_probe_is_out() {
    for workers in WORKERS {
        let upstream = bad().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(each(opens_after(1, Duration::from_millis(30))));
        });
        assert_eq!(get(&rig).await.status, 500);
        let gate = Gate::new();
        upstream.follow(Script::always(Behaviour::answer(&Reply::ok("well")).after(&gate)));
        let mut probe = crate::breaker::probe(&rig, &upstream).await;
        for _ in 0..16 {
            let refused = get(&rig).await;
            assert_eq!(reason(&refused), Some("breaker.probe_busy"));
            assert_eq!(refused.field("retry-after"), Some("10"), "its lease");
        }
        assert_eq!(upstream.counts().in_flight_peak, 1);
        gate.open();
        assert_eq!(probe.response().await.text(), "well");
        assert!(settle(PATIENCE, || state_of(&rig, 0) == State::Closed).await);
    }
}

#[tokio::test]
async fn p05_a_host_that_is_down_costs_each_period_its_probes_and_comes_back_in_steps() {
    const PERIODS: usize = 10;
    let open_for = Duration::from_millis(60);
    for workers in WORKERS {
        let (weak, good) = (bad().await, good().await);
        let rig = Rig::start(workers, &[weak.address(), good.address()], |draft| {
            let mut policy = opens_after(3, open_for);
            policy.half_open.successes = NonZeroU32::new(2).unwrap();
            policy.ramp.ramp_for = Duration::from_millis(800);
            draft.cluster.lb = LbPolicy::RoundRobin;
            draft.cluster.breaker = Some(each(policy));
        });
        let opened = || rig.count(|block| block.breaker.opened.get());
        let mut client = rig.client().await;
        let (deadline, mut failed) = (Instant::now() + PATIENCE * 2, vec![0; PERIODS + 1]);
        while opened() <= PERIODS as u64 {
            let period = usize::try_from(opened()).unwrap();
            failed[period] += u32::from(client.get("a", "/").await.status != 200);
            assert!(Instant::now() < deadline, "{failed:?}");
        }
        assert_eq!(failed[0], 3, "before it knows");
        assert_eq!(failed[1..], [1; PERIODS], "what users see of each period is its one probe");
        weak.follow(Script::ok("well"));
        let before = weak.counts().requests;
        while state_of(&rig, 0) != State::Closed {
            assert_eq!(client.get("a", "/").await.status, 200);
            assert!(Instant::now() < deadline);
        }
        assert_eq!(weak.counts().requests, before + 2, "closed after exactly two good probes");
        // How many of the calls it takes, by the share that its breaker says it takes: its turn is every second one.
        let mut taken: BTreeMap<u8, (usize, usize)> = BTreeMap::new();
        while ramp_percent(&rig) < 100 {
            let (percent, before) = (ramp_percent(&rig), weak.counts().requests);
            for _ in 0..10 {
                assert_eq!(client.get("a", "/").await.status, 200);
            }
            if ramp_percent(&rig) == percent {
                let (calls, took) = taken.entry(percent).or_default();
                (*calls, *took) = (*calls + 10, *took + weak.counts().requests - before);
            }
        }
        assert!(rig.refusals().is_empty() && taken.len() > 1, "{taken:?}");
        let shares =
            taken.iter().map(|(percent, (calls, took))| (usize::from(*percent) * calls / 200, *took));
        for (expected, took) in shares {
            assert!(took.abs_diff(expected) <= 2, "{taken:?}");
        }
    }
}

/// The share of its traffic that the breaker of the first endpoint says it takes.
fn ramp_percent(rig: &Rig) -> u8 {
    let client = AdminClient::new(rig.proxy.admin_address().unwrap().clone());
    let page: Breakers = serde_json::from_str(&client.get("/fuseboard/v1/breakers").unwrap().text()).unwrap();
    page.clusters[0].endpoint_breakers.as_ref().unwrap().endpoints[0].breaker.traffic_percent
}

#[tokio::test]
async fn p30_one_frozen_pod_is_out_in_about_one_threshold_though_nothing_timed_out() {
    const SLOW: Duration = Duration::from_millis(150);
    for workers in WORKERS {
        let frozen = Upstream::start(Script::always(Behaviour::silent())).await;
        let good = good().await;
        let rig = Rig::start(workers, &[frozen.address(), good.address()], |draft| {
            let slow = SlowPolicy { slower_than: SLOW, percent: Percent::new(50).unwrap() };
            let trip = TripPolicy { slow: Some(slow), minimum_calls: 2, ..TripPolicy::default() };
            draft.cluster.breaker = Some(each(BreakerPolicy { trip, ..opens_after(99, LONG) }));
            draft.cluster.breaker.as_mut().unwrap().policy.trip.consecutive_failures = None;
            draft.cluster.lb = LbPolicy::RoundRobin;
            draft.route.timeout = Some(Duration::from_secs(60));
        });
        let began = Instant::now();
        let mut clients = Vec::new();
        while frozen.counts().in_flight < 2 {
            let mut client = rig.client().await;
            client.send(GET).await;
            settle(Duration::from_millis(5), || client.was_answered()).await;
            clients.push(client);
        }
        assert!(settle(PATIENCE, || state_of(&rig, 0) == State::Open).await);
        let took = began.elapsed();
        assert!(took >= SLOW && took < SLOW * 10, "{took:?}: not by a time-out, of a minute");
        let hung = frozen.counts().requests;
        for _ in 0..30 {
            assert_eq!(get(&rig).await.text(), "good");
        }
        assert_eq!((frozen.counts().requests, state_of(&rig, 1)), (hung, State::Closed));
        assert_eq!(rig.numbers().get("upstream_rq_timeout"), 0);
    }
}

#[tokio::test]
async fn those_who_wait_when_the_last_endpoint_opens_are_told_at_once() {
    for workers in WORKERS {
        let gate = Gate::new();
        let upstream = Upstream::start(Script::always(failing().after(&gate))).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.thresholds.default = limits(2, 8, u32::MAX);
            draft.cluster.breaker = Some(each(opens_after(1, LONG)));
        });
        let mut busy = Vec::new();
        for under_way in 1..=2 {
            let mut client = rig.client().await;
            client.send(GET).await;
            upstream.until(|counts| counts.in_flight == under_way).await;
            busy.push(client);
        }
        let mut waiting = Vec::new();
        for pending in 1..=3 {
            let mut client = rig.client().await;
            client.send(GET).await;
            rig.until_pending(pending).await;
            waiting.push(client);
        }
        gate.pass(1);
        // One call is still under way, and its connection busy: nobody's turn has come.
        for client in &mut waiting {
            assert_eq!(reason(&client.response().await), Some("breaker.open"));
        }
        assert_eq!(upstream.counts().requests, 2);
        gate.open();
        rig.until_idle().await;
    }
}

#[tokio::test]
async fn p58_a_retry_goes_to_another_endpoint_and_without_one_the_answer_before_it_stands() {
    for workers in WORKERS {
        let (weak, good) = (bad().await, good().await);
        let with_retries = |draft: &mut Draft| {
            let retries = draft.retries();
            retries.retry_on = RetryOn::FIVE_XX;
            retries.num_retries = 9;
            retries.base_interval = Duration::from_millis(1);
            draft.cluster.breaker = Some(each(opens_after(1, LONG)));
        };
        let rig = Rig::start(workers, &[weak.address(), good.address()], with_retries);
        while weak.counts().requests == 0 {
            assert_eq!(get(&rig).await.text(), "good", "whoever the first try went to");
        }
        assert_eq!((weak.counts().requests, state_of(&rig, 0)), (1, State::Open));
        let alone = Rig::start(workers, &[weak.address()], with_retries);
        let answer = get(&alone).await;
        assert_eq!((answer.status, answer.text(), reason(&answer)), (500, "broken", None));
        assert_eq!(weak.counts().requests, 2, "one try");
        assert_eq!(alone.refusals()[0].status, 0);
        alone.until_idle().await;
    }
}

#[tokio::test]
async fn a_shadow_of_endpoints_refuses_nothing_and_keeps_nobody_out() {
    for workers in WORKERS {
        let (bad, good) = (bad().await, good().await);
        let rig = Rig::start(workers, &[bad.address(), good.address()], |draft| {
            let mut policy = opens_after(1, LONG);
            policy.mode = Mode::Shadow;
            draft.cluster.lb = LbPolicy::RoundRobin;
            draft.cluster.breaker = Some(each(policy));
        });
        let mut client = rig.client().await;
        for _ in 0..40 {
            client.get("a", "/").await;
        }
        assert_eq!((bad.counts().requests, good.counts().requests), (20, 20));
        let numbers = rig.numbers();
        for (name, count) in
            [("refused", 0), ("refused_shadow", 19), ("endpoints_open", 1), ("shadow", 1), ("opened", 1)]
        {
            assert_eq!(numbers.get(&format!("fuseboard.breaker.{name}")), count, "{name}");
        }
        assert_eq!(numbers.get("membership_healthy"), 2);
        assert!(rig.refusals().is_empty());
    }
}

#[tokio::test]
async fn state_belongs_to_the_endpoint_and_outlives_other_settings_and_other_endpoints() {
    for workers in WORKERS {
        let (bad, good) = (bad().await, good().await);
        let mut rig = Rig::start(workers, &[bad.address(), good.address()], |draft| {
            draft.cluster.breaker = Some(each(opens_after(1, LONG)));
        });
        until_open(&rig, 0).await;
        rig.apply(|draft| draft.cluster.endpoints.reverse());
        assert_eq!((state_of(&rig, 0), state_of(&rig, 1)), (State::Closed, State::Open), "by identity");
        rig.apply(|draft| draft.cluster.endpoints.retain(|one| one.address == bad.address()));
        let refused = get(&rig).await;
        assert_eq!((reason(&refused), refused.field("retry-after")), (Some("breaker.open"), Some("3600")));
        rig.apply(|draft| {
            let open = &mut draft.cluster.breaker.as_mut().unwrap().policy.open;
            (open.open_for, open.max_open_for) = (Duration::from_millis(1), Duration::from_millis(1));
        });
        let again = || async { get(&rig).await.text() == "broken" };
        let deadline = Instant::now() + PATIENCE;
        while !again().await {
            assert!(Instant::now() < deadline, "the new numbers hold at once");
        }
        rig.apply(|draft| {
            draft.cluster.breaker.as_mut().unwrap().policy = opens_after(1, LONG);
        });
        until_open(&rig, 0).await;
        // A pod that took the address over.
        rig.apply(|draft| draft.cluster.endpoints[0].id = EndpointId::new("another pod", bad.address()));
        assert_eq!(state_of(&rig, 0), State::Closed, "it starts fresh");
        until_open(&rig, 0).await;
        rig.apply(|draft| draft.cluster.breaker.as_mut().unwrap().scope = BreakerScope::Destination);
        assert!(rig.cluster().host_breakers.is_empty());
        assert_eq!(get(&rig).await.text(), "broken", "another scope is another machine");
        assert_eq!(reason(&get(&rig).await), Some("breaker.open"));
        rig.apply(|draft| draft.cluster.breaker.as_mut().unwrap().scope = BreakerScope::Endpoint);
        assert_eq!(get(&rig).await.text(), "broken");
        rig.until_idle().await;
        assert_eq!(rig.cluster().live.limits(Priority::Default).view().requests, 0);
    }
}

#[tokio::test]
async fn p56_a_probe_whose_client_goes_away_gives_its_place_back() {
    for workers in WORKERS {
        let upstream = bad().await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.breaker = Some(each(opens_after(1, Duration::from_millis(30))));
        });
        assert_eq!(get(&rig).await.status, 500);
        let gate = Gate::new();
        upstream.follow(Script::always(Behaviour::answer(&Reply::ok("well")).after(&gate)));
        let probe: Client = crate::breaker::probe(&rig, &upstream).await;
        probe.close();
        upstream.until(|counts| counts.in_flight == 0).await;
        rig.until_idle().await;
        gate.open();
        assert_eq!(get(&rig).await.text(), "well", "the next one is the probe");
        assert!(settle(PATIENCE, || state_of(&rig, 0) == State::Closed).await);
    }
}
