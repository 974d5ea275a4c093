//! What becomes of requests while nobody, or too few, are healthy: one decision, for the balancers that carry it out and for
//! those who explain it.

/// Envoy's overprovisioning factor in percent: a level counts as fully available while 1/1.4 of its hosts are.
const OVERPROVISIONING_PERCENT: u64 = 140;

/// What the rules of a cluster say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoneHealthyPolicy {
    /// Envoy's `healthy_panic_threshold`: with a smaller percentage of healthy hosts, as good as nobody is healthy. 0: only
    /// with none at all.
    pub threshold: u32,
    /// What is done then.
    pub answer: NoneHealthy,
}

/// What is done while nobody is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoneHealthy {
    /// As Istio: with a threshold all hosts are used, without one requests are refused.
    #[default]
    ByThreshold,
    /// Requests are refused (503 UH).
    Refuse,
    /// All hosts are used alike. Envoy's panic.
    Spread,
    /// Requests are refused, and the cluster's fallback answers them.
    Fallback,
}

/// Who gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recipients {
    /// The healthy hosts.
    Healthy,
    /// All hosts alike.
    All,
    /// Nobody.
    Nobody,
}

impl NoneHealthyPolicy {
    /// Who gets requests while so many of all hosts are healthy.
    pub fn recipients(self, healthy: usize, all: usize) -> Recipients {
        let below = self.is_below(healthy, all);
        if healthy > 0 && !below {
            return Recipients::Healthy;
        }
        match self.answer {
            NoneHealthy::Spread if all > 0 => Recipients::All,
            NoneHealthy::ByThreshold if below => Recipients::All,
            NoneHealthy::ByThreshold | NoneHealthy::Refuse | NoneHealthy::Spread | NoneHealthy::Fallback => {
                Recipients::Nobody
            }
        }
    }

    /// Fewer percent than the threshold, unless the level counts as fully available anyway. An empty one is below any
    /// threshold above 0, as in Envoy.
    fn is_below(self, healthy: usize, all: usize) -> bool {
        let (healthy, all) = (healthy as u64, all as u64);
        let below = 100 * healthy < u64::from(self.threshold.min(100)) * all;
        let fully_available = all > 0 && OVERPROVISIONING_PERCENT * healthy / all >= 100;
        (below || (all == 0 && self.threshold > 0)) && !fully_available
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn recipients(threshold: u32, answer: NoneHealthy, healthy: usize, all: usize) -> Recipients {
        NoneHealthyPolicy { threshold, answer }.recipients(healthy, all)
    }

    #[test]
    fn while_enough_are_healthy_the_answer_does_not_matter() {
        for answer in
            [NoneHealthy::ByThreshold, NoneHealthy::Refuse, NoneHealthy::Spread, NoneHealthy::Fallback]
        {
            for (threshold, healthy, all) in [(0, 1, 10), (10, 1, 10), (100, 10, 10), (100, 5, 7), (50, 2, 4)]
            {
                let who = recipients(threshold, answer, healthy, all);
                assert_eq!(who, Recipients::Healthy, "{healthy} of {all}, {threshold} %, {answer:?}");
            }
        }
    }

    #[test]
    fn nobody_healthy_and_too_few_healthy_are_answered_alike() {
        for (threshold, healthy, all) in [(50, 1, 4), (50, 0, 4), (1, 0, 1), (100, 7, 10)] {
            assert_eq!(recipients(threshold, NoneHealthy::ByThreshold, healthy, all), Recipients::All);
            assert_eq!(recipients(threshold, NoneHealthy::Refuse, healthy, all), Recipients::Nobody);
            assert_eq!(recipients(threshold, NoneHealthy::Spread, healthy, all), Recipients::All);
        }
        assert_eq!(recipients(0, NoneHealthy::ByThreshold, 0, 4), Recipients::Nobody);
        assert_eq!(recipients(0, NoneHealthy::Spread, 0, 4), Recipients::All);
        assert_eq!(
            recipients(0, NoneHealthy::Spread, 0, 0),
            Recipients::Nobody,
            "of no hosts none can be used"
        );
        assert_eq!(recipients(50, NoneHealthy::ByThreshold, 0, 0), Recipients::All, "as Envoy counts it");
    }
}
