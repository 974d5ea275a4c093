//! Goes on to another host where the breaker of the chosen one does not take the call: half-open with all probes out, on the ramp,
//! or opened since the balancer looked. Only when no host is left that could take it is the call refused.

use super::balancer::pause;
use super::host_set::join;
use super::{Balancer, Pick};
use crate::breaker::Refusal;
use crate::rng::Rng;
use crate::time::Instant;

/// How often another host is drawn before all that are left are gone through.
const DRAWS: usize = 4;

/// The result of one choice in which hosts were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// Send it there.
    Host {
        /// Index into the set's hosts.
        index: usize,
        /// As in [`Pick::Host`].
        panic: bool,
        /// What the host was taken with.
        ticket: T,
    },
    /// The breaker of each host that could be chosen refuses.
    Refused(Refusal),
    /// Nobody to send to, and it is not a breaker that keeps them out.
    NoneHealthy {
        /// As in [`Pick::NoneHealthy`].
        panic: bool,
    },
}

impl Balancer {
    /// A host that takes the call: chosen as [`Self::pick_except`] does, then `ask`ed; if its breaker refuses, another one, each
    /// of them once. Hosts that were `tried` come last.
    pub fn pick_willing<T>(
        &mut self,
        tried: impl Fn(usize) -> bool,
        attempts: u32,
        now: Instant,
        rng: &mut Rng,
        mut ask: impl FnMut(usize, &mut Rng) -> Result<T, Refusal>,
    ) -> Taken<T> {
        let (index, panic) = match self.pick_except(&tried, attempts, now, rng) {
            Pick::Host { index, panic } => (index, panic),
            Pick::NoneHealthy { panic } => {
                return self.kept_out(now).map_or(Taken::NoneHealthy { panic }, Taken::Refused);
            }
        };
        match ask(index, rng) {
            Ok(ticket) => Taken::Host { index, panic, ticket },
            Err(refusal) => self.pick_another((index, refusal), tried, now, rng, ask),
        }
    }

    /// Goes through the others. Allocates: this is where somebody is refused.
    #[cold]
    fn pick_another<T>(
        &mut self,
        (first, refusal): (usize, Refusal),
        tried: impl Fn(usize) -> bool,
        now: Instant,
        rng: &mut Rng,
        mut ask: impl FnMut(usize, &mut Rng) -> Result<T, Refusal>,
    ) -> Taken<T> {
        let panic = self.panic;
        let mut joined = refusal;
        let mut asked = vec![false; self.hosts().hosts().len()];
        asked[first] = true;
        let mut refused_by = |index: usize, asked: &mut [bool], rng: &mut Rng| {
            asked[index] = true;
            match ask(index, rng) {
                Ok(ticket) => Some(Taken::Host { index, panic, ticket }),
                Err(refusal) => {
                    joined = join(Some(joined), refusal);
                    None
                }
            }
        };
        // Not by the rotation: it would come to the host that refuses more often, the more often that refuses.
        for _ in 0..DRAWS {
            let drawn = self.draw(|index| !asked[index] && !tried(index), now, rng);
            if let Some(taken) = drawn.and_then(|index| refused_by(index, &mut asked, rng)) {
                return taken;
            }
        }
        let count = self.candidates.len();
        let start = rng.below(u32::try_from(count).unwrap_or(u32::MAX)) as usize;
        for again in [false, true] {
            for place in 0..count {
                let index = self.candidates[(start + place) % count];
                if !asked[index]
                    && tried(index) == again
                    && let Some(taken) = refused_by(index, &mut asked, rng)
                {
                    return taken;
                }
            }
        }
        Taken::Refused(self.hosts().or_first_probe(joined, now))
    }

    /// The less busy of two random candidates, by their weights; `None` where neither will do.
    fn draw(&self, will_do: impl Fn(usize) -> bool, now: Instant, rng: &mut Rng) -> Option<usize> {
        let count = u32::try_from(self.candidates.len()).unwrap_or(u32::MAX);
        let mut any =
            || self.candidates.get(rng.below(count) as usize).copied().filter(|index| will_do(*index));
        match (any(), any()) {
            (Some(one), Some(other)) => {
                let hosts = self.hosts();
                let busy = |index| pause(hosts, index, true, now);
                Some(if busy(other) < busy(one) { other } else { one })
            }
            (one, other) => one.or(other),
        }
    }
}
