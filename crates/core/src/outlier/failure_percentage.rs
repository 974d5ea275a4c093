//! Envoy's failure percentage detector: a host is an outlier if it fails too often, whatever the others do. Whether it is then
//! ejected is `detector`'s decision.

use super::{FailurePercentagePolicy, Volume};

/// The places of the outliers among the hosts, one entry for each; `None`: it is out of rotation. Nobody is one if too few
/// had enough tries.
pub(super) fn judge(policy: &FailurePercentagePolicy, hosts: &[Option<Volume>]) -> Vec<usize> {
    let enough = |volume: &Volume| volume.requests > 0 && volume.requests >= policy.request_volume;
    let valid: Vec<(usize, Volume)> = hosts
        .iter()
        .enumerate()
        .filter_map(|(index, volume)| Some((index, volume.filter(enough)?)))
        .collect();
    if valid.len() < policy.minimum_hosts as usize {
        return Vec::new();
    }
    let fails_too_often = |volume: &Volume| {
        100 * u64::from(volume.failures) >= u64::from(policy.threshold) * u64::from(volume.requests)
    };
    valid.into_iter().filter(|(_, volume)| fails_too_often(volume)).map(|(index, _)| index).collect()
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(threshold: u32) -> FailurePercentagePolicy {
        FailurePercentagePolicy {
            threshold,
            minimum_hosts: 1,
            request_volume: 1,
            ..FailurePercentagePolicy::default()
        }
    }

    /// Hosts in rotation with so many tries, of which so many failed.
    fn hosts<const N: usize>(volumes: [(u32, u32); N]) -> [Option<Volume>; N] {
        volumes.map(|(requests, failures)| Some(Volume { requests, failures }))
    }

    #[test]
    fn a_host_at_the_threshold_goes_and_one_below_it_stays() {
        assert_eq!(judge(&policy(20), &hosts([(100, 20), (100, 19), (3, 1)])), [0, 2]);
        assert_eq!(judge(&policy(100), &hosts([(7, 7), (7, 6)])), [0]);
        assert_eq!(judge(&policy(20), &hosts([(u32::MAX, u32::MAX)])), [0]);
    }

    #[test]
    fn too_few_hosts_with_enough_tries_say_nothing_about_any() {
        let three = FailurePercentagePolicy { minimum_hosts: 3, request_volume: 50, ..policy(50) };
        let mut three_hosts = hosts([(50, 50), (50, 0), (50, 0)]);
        assert_eq!(judge(&three, &three_hosts), [0]);
        for not_looked_at in [None, Some(Volume { requests: 49, failures: 0 })] {
            three_hosts[1] = not_looked_at;
            assert_eq!(judge(&three, &three_hosts), [0; 0]);
        }
        let anybody = FailurePercentagePolicy { minimum_hosts: 0, request_volume: 0, ..policy(0) };
        assert_eq!(judge(&anybody, &hosts([(0, 0), (1, 0)])), [1], "no try is no percentage");
    }

    proptest! {
        #[test]
        fn outliers_are_those_of_the_definition(
            volumes in proptest::collection::vec(proptest::option::weighted(0.9, (0_u32..300, 0_u32..300)), 0..12),
            minimum_hosts in 0_u32..6,
            request_volume in 0_u32..200,
            threshold in 0_u32..=100,
        ) {
            let volumes: Vec<_> = volumes
                .into_iter()
                .map(|volume| volume.map(|(requests, failures)| Volume { requests, failures: failures.min(requests) }))
                .collect();
            let policy = FailurePercentagePolicy { threshold, minimum_hosts, request_volume, ..FailurePercentagePolicy::default() };
            let looked_at = |volume: &Volume| volume.requests > 0 && volume.requests >= request_volume;
            let mut expected = Vec::new();
            if volumes.iter().flatten().filter(|volume| looked_at(volume)).count() >= minimum_hosts as usize {
                for (index, volume) in volumes.iter().enumerate() {
                    let Some(volume) = volume.filter(looked_at) else { continue };
                    // Of each hundred of its tries, that is of `requests` hundreds.
                    if (0..volume.requests).map(|_| threshold).sum::<u32>() <= volume.failures * 100 {
                        expected.push(index);
                    }
                }
            }
            prop_assert_eq!(judge(&policy, &volumes), expected);
        }
    }
}
