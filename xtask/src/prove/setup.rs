//! The grid: which limits, workers, hosts and kinds of callers a seed stands for, and which bursts are tried on them.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use fuseboard_core::Rng;
use fuseboard_core::limit::{Thresholds, UNLIMITED};
use fuseboard_testkit::{ClusterSketch, Split};

const WORKERS: [usize; 5] = [1, 2, 4, 8, 16];
const HOSTS: [usize; 2] = [1, 3];
const CONNECTIONS: [u32; 6] = [1, 2, 4, 10, 100, UNLIMITED];
const PENDING: [u32; 4] = [0, 1, 3, 10];

/// Callers of a cluster that admits any number.
pub(super) const PLENTY: u32 = 24;

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
                requests_around(max_connections, &mut rng),
            ),
        }
    }

    /// Callers and connections that are kept; several hosts where there are many workers.
    pub(super) const fn plain(seed: u64, workers: usize, thresholds: Thresholds) -> Self {
        let hosts = if workers > 2 { 3 } else { 1 };
        Self { seed, workers, hosts, keep_alive: true, max_requests: None, thresholds }
    }

    /// With `maxRequestsPerConnection: 1`.
    pub(super) const fn one_request(self) -> Self {
        Self { max_requests: Some(NonZeroU32::MIN), ..self }
    }

    /// With callers that come anew each time.
    pub(super) const fn without_keep_alive(self) -> Self {
        Self { keep_alive: false, ..self }
    }

    /// The bursts of this setup: every state before, and sizes just below, at and above what is admitted.
    pub(super) fn rounds(&self) -> Vec<Round> {
        let mut rng = Rng::new(self.seed ^ 0x5EED);
        [Before::Cold, Before::Warm, Before::WarmElsewhere, Before::Cold]
            .map(|before| Round { before, callers: self.callers(&mut rng) })
            .to_vec()
    }

    fn callers(&self, rng: &mut Rng) -> u32 {
        let admitted = Split::of(&self.thresholds, UNLIMITED).admitted();
        if admitted == UNLIMITED {
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

/// R below, at and above N, and none; some numbers where N is unlimited.
fn requests_around(connections: u32, rng: &mut Rng) -> u32 {
    let around = match connections {
        UNLIMITED => [1, 3, 8, UNLIMITED],
        n => [(n - 1).max(1), n, n + 1, UNLIMITED],
    };
    pick(&around, rng.next_u64())
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
        assert_eq!(relations.len(), 6);
    }
}
