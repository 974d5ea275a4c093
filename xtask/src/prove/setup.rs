//! The grid: which limits, workers, hosts and kinds of callers a seed stands for, and which bursts are tried on them.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use fuseboard_core::Rng;
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_snapshot::{UpstreamHttp, UpstreamVersion};
use fuseboard_testkit::{Caller, ClusterSketch, Count, Door, Line, OriginOptions, Split};

const WORKERS: [usize; 5] = [1, 2, 4, 8, 16];
const HOSTS: [usize; 5] = [1, 2, 3, 4, 5];
const CONNECTIONS: [u32; 6] = [1, 2, 4, 10, 100, UNLIMITED];
const PENDING: [u32; 4] = [0, 1, 3, 10];

/// Streams of a connection; none: the default.
const STREAMS: [Option<NonZeroU32>; 4] = [NonZeroU32::new(1), NonZeroU32::new(2), NonZeroU32::new(3), None];
const STREAM_CONNECTIONS: [u32; 3] = [1, 2, 3];
const STREAM_PENDING: [u32; 5] = [0, 1, 2, 3, 4];
/// Setups of every combination of these, with R in each of four relations to N * S.
pub(super) const STREAM_GRID: u32 = 1_200;

/// Callers of a cluster that admits any number, or more than are worth the time.
pub(super) const PLENTY: u32 = 24;
const TOO_MANY: u32 = 256;

/// Callers that share a connection of HTTP/2.
const ON_A_LINE: u32 = 5;

/// What callers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Speakers {
    Http1,
    Http2,
    /// Every other one speaks HTTP/1.1.
    Mixed,
}

/// A proxy, a cluster and its callers.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) workers: usize,
    pub(super) hosts: usize,
    /// Whether callers use a connection again.
    pub(super) keep_alive: bool,
    pub(super) max_requests: Option<NonZeroU32>,
    pub(super) thresholds: Thresholds,
    /// What its hosts speak.
    pub(super) http: UpstreamHttp,
    /// Streams that its hosts offer on a connection; none: any number.
    pub(super) offered: Option<NonZeroU32>,
    pub(super) speakers: Speakers,
}

/// What the cluster went through before a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing: it is new.
    Cold,
    /// Another burst, whose connections are idle now.
    Warm,
    /// Its connections are idle at the first host only, on the workers of callers that are still there.
    WarmElsewhere,
}

/// One burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) before: Before,
    pub(super) callers: u32,
}

impl Setup {
    /// Neighbouring seeds differ in workers and limits, so that a run of seeds covers the grid; the rest is drawn.
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let max_connections = pick(&CONNECTIONS, seed);
        let max_pending_requests = pick(&PENDING, seed / CONNECTIONS.len() as u64);
        Self {
            seed,
            workers: pick(&WORKERS, seed),
            hosts: pick(&HOSTS, rng.next_u64()),
            keep_alive: rng.below(2) == 0,
            max_requests: if rng.below(2) == 0 { NonZeroU32::new(1) } else { None },
            thresholds: limits(
                max_connections,
                max_pending_requests,
                requests_around(max_connections, rng.next_u64()),
            ),
            http: UpstreamHttp::default(),
            offered: None,
            speakers: Speakers::Http1,
        }
    }

    /// The same where hosts speak HTTP/2: [`STREAM_GRID`] neighbours are every combination of workers and limits, in an order in which any few
    /// of them differ in all.
    pub(super) fn streams_of_seed(seed: u64) -> Self {
        // Prime to the number of combinations.
        let number = seed.wrapping_mul(187) % u64::from(STREAM_GRID);
        let mut rng = Rng::new(seed);
        let (workers, number) = split(number, &WORKERS);
        let (streams, number) = split(number, &STREAMS);
        let (max_connections, number) = split(number, &STREAM_CONNECTIONS);
        let (max_pending_requests, number) = split(number, &STREAM_PENDING);
        let http = spoken(streams);
        let max_requests = if rng.below(4) == 0 { NonZeroU32::new(1) } else { None };
        let slots = max_connections.saturating_mul(http.at_a_time(max_requests));
        Self {
            seed,
            workers,
            hosts: pick(&HOSTS, rng.next_u64()),
            keep_alive: rng.below(2) == 0,
            max_requests,
            thresholds: limits(max_connections, max_pending_requests, requests_around(slots, number)),
            http,
            offered: None,
            speakers: pick(&[Speakers::Http2, Speakers::Mixed, Speakers::Http1], rng.next_u64()),
        }
    }

    /// Callers and connections that are kept; several hosts where there are many workers.
    pub(super) const fn plain(seed: u64, workers: usize, thresholds: Thresholds) -> Self {
        let hosts = if workers > 2 { 3 } else { 1 };
        Self {
            seed,
            workers,
            hosts,
            keep_alive: true,
            max_requests: None,
            thresholds,
            http: UpstreamHttp { version: UpstreamVersion::Http1, max_concurrent_streams: None, ping: None },
            offered: None,
            speakers: Speakers::Http1,
        }
    }

    /// With `maxRequestsPerConnection: 1`.
    pub(super) const fn one_request(self) -> Self {
        Self { max_requests: Some(NonZeroU32::MIN), ..self }
    }

    /// With callers that come anew each time.
    pub(super) const fn without_keep_alive(self) -> Self {
        Self { keep_alive: false, ..self }
    }

    /// With hosts that speak HTTP/2, by so many streams on each connection, and such callers.
    pub(super) fn streams(self, streams: Option<NonZeroU32>, speakers: Speakers) -> Self {
        Self { http: spoken(streams), speakers, ..self }
    }

    /// With callers that speak so.
    pub(super) const fn speaking(self, speakers: Speakers) -> Self {
        Self { speakers, ..self }
    }

    /// With hosts that offer only so many streams on a connection.
    pub(super) const fn offering(self, streams: u32) -> Self {
        Self { offered: NonZeroU32::new(streams), ..self }
    }

    /// How its origin behaves.
    pub(super) fn origin(&self) -> OriginOptions {
        OriginOptions {
            hosts: self.hosts,
            seed: self.seed,
            streams: self.offered,
            ..OriginOptions::default()
        }
    }

    /// With callers that speak either, and hosts that are spoken to as they do.
    pub(super) fn like_clients(self) -> Self {
        let http = UpstreamHttp { version: UpstreamVersion::Client, ..UpstreamHttp::default() };
        Self { http, speakers: Speakers::Mixed, ..self }
    }

    /// Requests that the origin may see at a time.
    pub(super) fn running_bound(&self) -> u32 {
        match self.http.version {
            // Those of HTTP/2 have more slots than the callers that are tried.
            UpstreamVersion::Client => self.thresholds.max_requests,
            UpstreamVersion::Http1 | UpstreamVersion::Http2 => Split::running_bound(&self.slots()),
        }
    }

    /// Whether the origin saw more at a time than it may; `abandons`: streams are given up there. Such a one is known to its host
    /// some time later, and its slot is somebody else's by then.
    pub(super) fn look_at_peaks(&self, count: &Count, abandons: bool, wrong: &mut Vec<String>) {
        if count.peak_connections > self.thresholds.max_connections {
            wrong.push(format!("{} connections at a time at the origin", count.peak_connections));
        }
        let judged = !abandons || self.at_a_time() == 1;
        if judged && count.peak_requests > self.running_bound() {
            wrong.push(format!("{} requests at a time at the origin", count.peak_requests));
        }
    }

    /// Requests that a connection carries at a time.
    pub(super) fn at_a_time(&self) -> u32 {
        let asked = self.http.at_a_time(self.max_requests);
        self.offered.map_or(asked, |offered| asked.min(offered.get()))
    }

    /// The limits as a burst meets them: its slots in place of connections.
    pub(super) fn slots(&self) -> Thresholds {
        Split::slots(&self.thresholds, self.at_a_time())
    }

    /// `n` callers of the proxy behind this door. By HTTP/2 some share a connection, unless they come anew each time.
    pub(super) fn speakers(&self, proxy: &Door, n: u32) -> Vec<Caller> {
        let mut callers: Vec<_> = (0..n).map(|_| Caller::new(proxy.clone(), self.keep_alive)).collect();
        let mut line = Line::new(proxy.clone());
        for (number, caller) in (0..n).zip(&mut callers) {
            if self.speakers == Speakers::Http1 || self.speakers == Speakers::Mixed && number % 2 == 0 {
                continue;
            }
            if !self.keep_alive || number % ON_A_LINE == 0 {
                line = Line::new(proxy.clone());
            }
            *caller = Caller::on(line.clone());
        }
        callers
    }

    /// What is spoken, to the proxy and by it.
    pub(super) const fn spoken(&self) -> &'static str {
        match (self.speakers, self.http.version) {
            (Speakers::Http1, UpstreamVersion::Http2) => "1>2",
            (Speakers::Http2, UpstreamVersion::Http2) => "2>2",
            (Speakers::Mixed, UpstreamVersion::Http2) => "1,2>2",
            (_, UpstreamVersion::Client) => "both",
            (Speakers::Http1, UpstreamVersion::Http1) => "1>1",
            (Speakers::Http2, UpstreamVersion::Http1) => "2>1",
            (Speakers::Mixed, UpstreamVersion::Http1) => "1,2>1",
        }
    }

    /// The bursts of this setup: every state before, and sizes just below, at and above what is admitted.
    pub(super) fn rounds(&self) -> Vec<Round> {
        let mut rng = Rng::new(self.seed ^ 0x5EED);
        [Before::Cold, Before::Warm, Before::WarmElsewhere, Before::Cold]
            .map(|before| Round { before, callers: self.callers(&mut rng) })
            .to_vec()
    }

    fn callers(&self, rng: &mut Rng) -> u32 {
        let admitted = Split::of(&self.slots(), UNLIMITED).admitted();
        if admitted > TOO_MANY {
            return PLENTY;
        }
        let around = [admitted.saturating_sub(1), admitted, admitted + 1, admitted + 3, admitted * 2];
        pick(&around, rng.next_u64()).max(1)
    }

    /// The cluster, under a name that makes it a new one.
    pub(super) fn sketch(&self, name: &str, hosts: &[SocketAddr]) -> ClusterSketch {
        ClusterSketch {
            thresholds: self.thresholds,
            max_requests: self.max_requests,
            http: self.http,
            ..ClusterSketch::new(name, hosts)
        }
    }
}

/// N, P and R; retries without limit.
pub(super) const fn limits(connections: u32, pending: u32, requests: u32) -> Thresholds {
    Thresholds {
        max_connections: connections,
        max_pending_requests: pending,
        max_requests: requests,
        max_retries: UNLIMITED,
    }
}

/// HTTP/2 to the hosts.
fn spoken(streams: Option<NonZeroU32>) -> UpstreamHttp {
    UpstreamHttp {
        version: UpstreamVersion::Http2,
        max_concurrent_streams: streams,
        ..UpstreamHttp::default()
    }
}

/// R below, at and above the number of slots, and none; some numbers where that is unlimited.
fn requests_around(slots: u32, index: u64) -> u32 {
    let around = match slots {
        UNLIMITED => [1, 3, 8, UNLIMITED],
        n => [(n - 1).max(1), n, n + 1, UNLIMITED],
    };
    pick(&around, index)
}

/// One of `among`, and the number that is left for other choices.
fn split<T: Copy>(number: u64, among: &[T]) -> (T, u64) {
    (pick(among, number), number / among.len() as u64)
}

fn pick<T: Copy>(among: &[T], index: u64) -> T {
    among[usize::try_from(index % among.len() as u64).unwrap_or_default()]
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Thresholds { max_connections, max_pending_requests, max_requests, .. } = self.thresholds;
        write!(f, "workers {}  hosts {}  ", self.workers, self.hosts)?;
        write!(f, "N {}  P {max_pending_requests}  R {}", bound(max_connections), bound(max_requests))?;
        let keep_alive = if self.keep_alive { "on" } else { "off" };
        write!(f, "  keep-alive {keep_alive}")?;
        if self.http.version == UpstreamVersion::Http2 {
            write!(f, "  HTTP {}  S {}", self.spoken(), self.http.at_a_time(self.max_requests))?;
        }
        if let Some(offered) = self.offered {
            write!(f, "  offered {offered}")?;
        }
        self.max_requests.map_or(Ok(()), |max| write!(f, "  maxRequestsPerConnection {max}"))
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::WarmElsewhere => "warm elsewhere",
        })
    }
}

pub(super) fn bound(n: u32) -> String {
    if n == UNLIMITED { "inf".to_owned() } else { n.to_string() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_full_run_covers_every_bound_at_every_number_of_workers() {
        let setups: Vec<_> = (1..=250).map(Setup::of_seed).collect();
        let pairs: BTreeSet<_> =
            setups.iter().map(|setup| (setup.workers, setup.thresholds.max_connections)).collect();
        assert_eq!(pairs.len(), WORKERS.len() * CONNECTIONS.len());
        let relations: BTreeSet<_> = setups
            .iter()
            .map(|setup| (setup.thresholds.max_requests.cmp(&setup.thresholds.max_connections), setup.hosts))
            .collect();
        assert_eq!(relations.len(), 3 * HOSTS.len());
    }

    #[test]
    fn where_hosts_speak_http_2_the_grid_is_every_combination_and_a_part_of_it_holds_every_value() {
        let setups: Vec<_> = (1..=u64::from(STREAM_GRID)).map(Setup::streams_of_seed).collect();
        let relation = |setup: &Setup| match setup.thresholds.max_requests {
            UNLIMITED => None,
            requests => Some(requests.cmp(&setup.slots().max_connections)),
        };
        let values = |setup: &Setup| {
            let Thresholds { max_connections, max_pending_requests, .. } = setup.thresholds;
            (setup.workers, setup.http.max_concurrent_streams, max_connections, max_pending_requests)
        };
        let all: BTreeSet<_> = setups.iter().map(values).collect();
        assert_eq!(all.len(), WORKERS.len() * STREAMS.len() * 3 * STREAM_PENDING.len());
        let part = &setups[..16];
        assert_eq!(part.iter().map(relation).collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(part.iter().map(|setup| setup.speakers).collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(part.iter().map(|setup| values(setup).0).collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(part.iter().map(|setup| values(setup).1).collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(part.iter().map(|setup| values(setup).2).collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(part.iter().map(|setup| values(setup).3).collect::<BTreeSet<_>>().len(), 5);
    }
}
