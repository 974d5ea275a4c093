//! Envoy's success rate detector: a host is an outlier if it succeeds clearly less often than the others do. Whether it is
//! then ejected is `detector`'s decision.
//!
//! With n hosts that had enough tries, their rates r, the mean m and the standard deviation s (of the population), those below
//! m − factor × s are outliers. Multiplied out, that is a comparison of whole numbers:
//! `r < m − f·s` with `s² = (n·Σr² − (Σr)²) / n²` is `Σr − n·r > 0` and `(Σr − n·r)² > f²·(n·Σr² − (Σr)²)`.

use super::{Rate, SuccessRatePolicy, Volume};

/// What the rates of an interval say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The mean of the hosts that were looked at.
    pub(super) average: Rate,
    /// Hosts below it are outliers.
    pub(super) threshold: Rate,
    /// Their places in what was given.
    pub(super) outliers: Vec<usize>,
}

/// Looks at the hosts, one entry for each; `None`: it is out of rotation. `None`: too few of them had enough tries.
pub(super) fn judge(policy: &SuccessRatePolicy, hosts: &[Option<Volume>]) -> Option<Judgement> {
    let enough = |volume: &Volume| volume.requests > 0 && volume.requests >= policy.request_volume;
    let rates: Vec<(usize, u128)> = hosts
        .iter()
        .enumerate()
        .filter_map(|(index, volume)| Some((index, volume.filter(enough)?)))
        .map(|(index, volume)| (index, u128::from(volume.success_rate().billionths().unsigned_abs())))
        .collect();
    if rates.is_empty() || rates.len() < policy.minimum_hosts as usize {
        return None;
    }
    let n = rates.len() as u128;
    let sum: u128 = rates.iter().map(|(_, rate)| rate).sum();
    let squares: u128 = rates.iter().map(|(_, rate)| rate * rate).sum();
    let spread = n * squares - sum * sum;
    let factor = u128::from(policy.stdev_factor_thousandths);
    let is_outlier = |rate: u128| {
        // Nothing for those above the mean.
        let short = sum.saturating_sub(n * rate);
        1_000_000 * short * short > (factor * factor).saturating_mul(spread)
    };
    let whole = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
    let below = factor.saturating_mul(spread.isqrt()) / (1_000 * n);
    Some(Judgement {
        average: Rate::from_billionths(whole(sum / n)),
        threshold: Rate::from_billionths(whole(sum / n).saturating_sub(whole(below))),
        outliers: rates.iter().filter(|(_, rate)| is_outlier(*rate)).map(|(index, _)| *index).collect(),
    })
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(factor: u32) -> SuccessRatePolicy {
        SuccessRatePolicy {
            minimum_hosts: 1,
            request_volume: 1,
            stdev_factor_thousandths: factor,
            ..SuccessRatePolicy::default()
        }
    }

    /// Hosts with so many successes of a hundred tries.
    fn percents(rates: &[u32]) -> Vec<Option<Volume>> {
        rates.iter().map(|rate| Some(Volume { requests: 100, failures: 100 - rate })).collect()
    }

    #[test]
    fn the_thresholds_are_those_measured_on_envoy() {
        let five = judge(&policy(1_900), &percents(&[50, 100, 100, 100, 100])).expect("enough hosts");
        assert_eq!((five.average.whole_percent(), five.threshold.whole_percent()), (90, 52));
        assert_eq!(five.outliers, [0]);
        let three = judge(&policy(1_000), &percents(&[0, 100, 100])).expect("enough hosts");
        assert_eq!((three.average.whole_percent(), three.threshold.whole_percent()), (66, 19));
        assert_eq!(three.outliers, [0]);
    }

    #[test]
    fn a_host_at_the_threshold_stays() {
        // Of two hosts, each is one deviation from the mean.
        assert_eq!(judge(&policy(1_000), &percents(&[0, 100])).expect("enough hosts").outliers, [0; 0]);
        assert_eq!(judge(&policy(999), &percents(&[0, 100])).expect("enough hosts").outliers, [0]);
        assert_eq!(judge(&policy(0), &percents(&[40, 40, 40])).expect("enough hosts").outliers, [0; 0]);
    }

    #[test]
    fn hosts_without_enough_tries_and_ejected_ones_are_not_looked_at() {
        let three = SuccessRatePolicy { minimum_hosts: 3, request_volume: 100, ..policy(500) };
        let mut hosts = percents(&[0, 100, 100]);
        assert_eq!(judge(&three, &hosts).expect("enough hosts").outliers, [0]);
        hosts[1] = Some(Volume { requests: 99, failures: 0 });
        assert_eq!(judge(&three, &hosts), None);
        hosts[1] = None;
        assert_eq!(judge(&three, &hosts), None);
        let nobody = SuccessRatePolicy { minimum_hosts: 0, request_volume: 0, ..policy(500) };
        assert_eq!(judge(&nobody, &[]), None);
        assert_eq!(judge(&nobody, &[Some(Volume::default())]), None, "no try is no rate");
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let many: Vec<_> = (0..100_000)
            .map(|host| {
                Some(Volume { requests: u32::MAX, failures: if host % 2 == 0 { u32::MAX } else { 0 } })
            })
            .collect();
        assert_eq!(judge(&policy(u32::MAX), &many).expect("enough hosts").outliers, [0; 0]);
        assert_eq!(judge(&policy(999), &many).expect("enough hosts").outliers.len(), 50_000);
    }

    proptest! {
        /// The definition, in floating point; a rate so close to the threshold that rounding decides says nothing.
        #[test]
        fn outliers_are_those_of_the_definition(
            volumes in proptest::collection::vec(proptest::option::weighted(0.9, (0_u32..300, 0_u32..300)), 0..12),
            minimum_hosts in 0_u32..6,
            request_volume in 0_u32..200,
            factor in 0_u32..4_000,
        ) {
            let volumes: Vec<_> = volumes
                .into_iter()
                .map(|volume| volume.map(|(requests, failures)| Volume { requests, failures: failures.min(requests) }))
                .collect();
            let policy =
                SuccessRatePolicy { minimum_hosts, request_volume, stdev_factor_thousandths: factor, ..SuccessRatePolicy::default() };
            let valid: Vec<(usize, f64)> = volumes
                .iter()
                .enumerate()
                .filter_map(|(index, volume)| {
                    let volume = (*volume)?;
                    let share = f64::from(volume.requests - volume.failures) / f64::from(volume.requests);
                    (volume.requests > 0 && volume.requests >= request_volume).then_some((index, share))
                })
                .collect();
            let judged = judge(&policy, &volumes);
            if valid.is_empty() || valid.len() < minimum_hosts as usize {
                prop_assert_eq!(judged, None);
                return Ok(());
            }
            let judged = judged.expect("enough hosts");
            let n = valid.len() as f64;
            let mean = valid.iter().map(|(_, rate)| rate).sum::<f64>() / n;
            let variance = valid.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / n;
            let threshold = mean - f64::from(factor) / 1_000.0 * variance.sqrt();
            prop_assert!((judged.average.percent() / 100.0 - mean).abs() < 1e-7);
            prop_assert!((judged.threshold.percent() / 100.0 - threshold).abs() < 1e-6);
            for (index, rate) in valid {
                if (rate - threshold).abs() > 1e-6 {
                    prop_assert_eq!(judged.outliers.contains(&index), rate < threshold, "host {}", index);
                }
            }
        }
    }
}
