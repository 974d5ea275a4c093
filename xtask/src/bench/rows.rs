//! The rows of the bench. Those that matter most come first: where time runs out, the last ones are left out.

use super::contender::{Contender, Proxy};
use super::row::Metric::{Cpu, Memory, P99, Ready};
use super::row::{Back, Front, Goal, Row, Setting, Variant, Work};

const HAPROXY: Contender = Contender::plain(Proxy::Haproxy);
const NGINX: Contender = Contender::plain(Proxy::Nginx);
const ENVOY: Contender = Contender::plain(Proxy::Envoy);
const OURS: Contender = Contender::plain(Proxy::Fuseboard);
const DIRECT: Contender = Contender::plain(Proxy::Direct);

const HTTP1: Setting = Setting::new(Front::Http1, Back::Http1);
/// Requests of an answer of six bytes.
const SMALL: Work = Work::Wrk { connections: 64, path: "/", post: 0 };
/// Clients that are connected and silent. Each costs two descriptors with TCP.
const IDLE: Work = Work::Idle { connections: 10_000 };

const ROW: Row = Row {
    name: "",
    what: "",
    work: SMALL,
    setting: HTTP1,
    subject: Variant::Plain,
    peers: &[HAPROXY, ENVOY],
    goals: &[],
    quick: false,
};

/// What a contender may cost beside HAProxy and Envoy for HTTP/1.1.
const HTTP1_GOALS: &[Goal] = &[Goal::peer(Cpu, "HAProxy", 0.85), Goal::peer(Cpu, "Envoy", 0.25)];
const IDLE_GOALS: &[Goal] = &[Goal::itself(Memory, 200.0)];

pub(super) const ROWS: &[Row] = &[
    Row { name: "h1-64", what: "HTTP/1.1, 64 connections", goals: HTTP1_GOALS, quick: true, ..ROW },
    Row {
        name: "refuse-breaker",
        what: "refused by an open breaker",
        subject: Variant::Refusing,
        peers: &[OURS, Contender::new(Proxy::Envoy, Variant::Refusing)],
        goals: &[Goal::peer(Cpu, "Fuseboard", 0.5), Goal::peer(Cpu, "Envoy, refusing", 0.5)],
        quick: true,
        ..ROW
    },
    Row {
        name: "h2-h1",
        what: "HTTP/2 to HTTP/1.1, 4 connections of 16 streams",
        work: Work::H2load { clients: 4, streams: 16 },
        setting: Setting::new(Front::Http2, Back::Http1),
        peers: &[NGINX, ENVOY, HAPROXY],
        goals: &[Goal::peer(Cpu, "nginx", 1.0), Goal::peer(Cpu, "Envoy", 0.4)],
        quick: true,
        ..ROW
    },
    Row {
        name: "tls",
        what: "TLS from clients, 64 connections kept alive",
        setting: Setting::new(Front::Tls, Back::Http1),
        peers: &[HAPROXY, ENVOY, NGINX],
        goals: &[Goal::peer(Cpu, "HAProxy", 1.0)],
        quick: true,
        ..ROW
    },
    Row {
        name: "tcp-bulk",
        what: "TCP, bytes over 4 connections",
        work: Work::Bulk { connections: 4 },
        setting: Setting::new(Front::Tcp, Back::Sink),
        peers: &[HAPROXY, ENVOY, Contender::new(Proxy::Haproxy, Variant::Spliced)],
        goals: &[Goal::peer(Cpu, "HAProxy", 1.0)],
        quick: true,
        ..ROW
    },
    Row {
        name: "start",
        what: "start with one service",
        work: Work::Start,
        goals: &[Goal::itself(Ready, 50.0), Goal::itself(Memory, 15.0)],
        quick: true,
        ..ROW
    },
    Row {
        name: "clusters-2000",
        what: "2,000 clusters",
        work: Work::Clusters,
        setting: Setting { clusters: 2_000, ..HTTP1 },
        goals: &[Goal::itself(Ready, 300.0), Goal::itself(Memory, 40.0)],
        quick: true,
        ..ROW
    },
    Row {
        name: "idle-h1",
        what: "idle connections of HTTP/1.1",
        work: IDLE,
        goals: IDLE_GOALS,
        quick: true,
        ..ROW
    },
    Row {
        name: "h1-512",
        what: "HTTP/1.1, 512 connections",
        work: Work::Wrk { connections: 512, path: "/", post: 0 },
        goals: HTTP1_GOALS,
        quick: true,
        ..ROW
    },
    Row {
        name: "h1-1",
        what: "HTTP/1.1, one connection",
        work: Work::Wrk { connections: 1, path: "/", post: 0 },
        goals: &[Goal::peer(Cpu, "HAProxy", 0.85)],
        ..ROW
    },
    Row {
        name: "body-0",
        what: "an answer without a body",
        work: Work::Wrk { connections: 64, path: "/0", post: 0 },
        ..ROW
    },
    Row {
        name: "body-1k",
        what: "a body of 1 KB down",
        work: Work::Wrk { connections: 64, path: "/1k", post: 0 },
        ..ROW
    },
    Row {
        name: "body-64k",
        what: "a body of 64 KB down",
        work: Work::Wrk { connections: 64, path: "/64k", post: 0 },
        ..ROW
    },
    Row {
        name: "body-10m",
        what: "a body of 10 MB down, 4 connections",
        work: Work::Wrk { connections: 4, path: "/10m", post: 0 },
        ..ROW
    },
    Row {
        name: "post-1k",
        what: "POST of 1 KB",
        work: Work::Wrk { connections: 64, path: "/", post: 1_024 },
        ..ROW
    },
    Row {
        name: "post-64k",
        what: "POST of 64 KB",
        work: Work::Wrk { connections: 64, path: "/", post: 65_536 },
        ..ROW
    },
    Row {
        name: "log",
        what: "HTTP/1.1, 64 connections, access log on",
        subject: Variant::Logged,
        peers: &[
            Contender::new(Proxy::Haproxy, Variant::Logged),
            Contender::new(Proxy::Envoy, Variant::Logged),
            OURS,
        ],
        ..ROW
    },
    Row {
        name: "breaker",
        what: "a closed breaker with every condition",
        subject: Variant::Breaker,
        peers: &[OURS],
        ..ROW
    },
    Row {
        name: "fallback",
        what: "the same, and a fallback",
        subject: Variant::Fallback,
        peers: &[OURS],
        ..ROW
    },
    Row {
        name: "refuse-limit",
        what: "refused by limits that are reached",
        subject: Variant::Full,
        peers: &[OURS, Contender::new(Proxy::Envoy, Variant::Refusing)],
        goals: &[Goal::peer(Cpu, "Fuseboard", 0.5), Goal::peer(Cpu, "Envoy, refusing", 0.5)],
        ..ROW
    },
    Row {
        name: "retry",
        what: "every second host refuses connections, and another is tried",
        setting: Setting::new(Front::Http1, Back::HalfGone),
        ..ROW
    },
    Row {
        name: "h2-h2",
        what: "HTTP/2 to HTTP/2, 4 connections of 16 streams",
        work: Work::H2load { clients: 4, streams: 16 },
        setting: Setting::new(Front::Http2, Back::Http2),
        ..ROW
    },
    Row {
        name: "grpc",
        what: "gRPC unary, 4 connections of 16 streams",
        work: Work::Load { flags: "-grpc -c 4 -streams 16" },
        setting: Setting::new(Front::Http2, Back::Grpc),
        ..ROW
    },
    Row {
        name: "mtls",
        what: "mutual TLS on both sides, 64 connections kept alive",
        work: Work::Load { flags: "-c 64" },
        setting: Setting::new(Front::MutualTls, Back::MutualTls),
        ..ROW
    },
    Row {
        name: "handshakes",
        what: "a handshake of TLS for each request, no resumption",
        work: Work::Load { flags: "-c 16 -keepalive=false" },
        setting: Setting::new(Front::Tls, Back::Http1),
        peers: &[HAPROXY, ENVOY, NGINX],
        ..ROW
    },
    Row {
        name: "tcp-short",
        what: "TCP connections of 1 KB each way",
        work: Work::Short { connections: 8 },
        setting: Setting::new(Front::Tcp, Back::Echo),
        ..ROW
    },
    Row {
        name: "latency",
        what: "2,000 requests a second, since each was due",
        work: Work::Rate { per_second: 2_000 },
        peers: &[HAPROXY, ENVOY, DIRECT],
        ..ROW
    },
    Row {
        name: "latency-breaker",
        what: "the same with a breaker",
        work: Work::Rate { per_second: 2_000 },
        subject: Variant::Breaker,
        peers: &[OURS],
        goals: &[Goal::peer(P99, "Fuseboard", 1.02)],
        ..ROW
    },
    Row {
        name: "clusters-10000",
        what: "10,000 clusters",
        work: Work::Clusters,
        setting: Setting { clusters: 10_000, ..HTTP1 },
        ..ROW
    },
    Row {
        name: "idle-tls",
        what: "idle connections of HTTP/1.1 over TLS",
        work: IDLE,
        setting: Setting::new(Front::Tls, Back::Http1),
        goals: IDLE_GOALS,
        ..ROW
    },
    Row {
        name: "idle-h2",
        what: "idle connections of HTTP/2",
        work: IDLE,
        setting: Setting::new(Front::Http2, Back::Http1),
        goals: IDLE_GOALS,
        ..ROW
    },
    Row {
        name: "idle-tcp",
        what: "idle connections of TCP",
        work: IDLE,
        setting: Setting::new(Front::Tcp, Back::Sink),
        goals: IDLE_GOALS,
        ..ROW
    },
];

/// Those that are asked for, or an answer that names all.
pub(super) fn picked(names: &[String], quick: bool) -> anyhow::Result<Vec<&'static Row>> {
    let known = || ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
    for name in names {
        let found = ROWS.iter().any(|row| row.name == name);
        anyhow::ensure!(found, "there is no row `{name}`; rows are {}", known());
    }
    let wanted = |row: &&Row| match names {
        [] => !quick || row.quick,
        names => names.iter().any(|name| name == row.name),
    };
    Ok(ROWS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::row::To;
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_goals_that_can_be_judged() {
        let names: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
        for row in ROWS {
            for goal in row.goals {
                assert!(row.work.compared().contains(&goal.metric), "{}: {}", row.name, goal.metric);
                if let To::Peer(name) = goal.to {
                    assert!(row.peers.iter().any(|peer| peer.name() == name), "{}: {name}", row.name);
                }
            }
        }
    }

    #[test]
    fn rows_are_picked_by_name_and_a_wrong_one_names_the_others() {
        let picked = |names: &[&str], quick| {
            super::picked(&names.iter().map(ToString::to_string).collect::<Vec<_>>(), quick)
        };
        assert_eq!(picked(&["h1-1"], true).unwrap().len(), 1);
        assert_eq!(picked(&[], false).unwrap().len(), ROWS.len());
        assert!(picked(&[], true).unwrap().len() < ROWS.len());
        assert!(picked(&["h1"], false).err().unwrap().to_string().contains("h1-64"));
    }
}
