//! How many calls a detector needs before it may be believed (pain P65): the tables of docs/concepts/outlier-detection.md, from
//! the arithmetic of chance and from the machines themselves.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use fuseboard_core::Rng;
use fuseboard_core::outlier::{FailurePercentagePolicy, OutlierPolicy, SuccessRatePolicy};

use super::{Rig, by_chance, policy};

const INTERVALS_A_DAY: f64 = 8_640.0;
const CALLS_A_SECOND: f64 = 10.0;

/// The cells of the table of the page whose head has this first cell.
fn table(first: &str) -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/concepts/outlier-detection.md");
    let page = std::fs::read_to_string(page).unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let head = format!("| {first} |");
    let rows = page.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    rows.take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// That of `calls`, each of which fails with probability `rate`, at least `failures` fail.
fn tail(calls: u32, rate: f64, failures: u32) -> f64 {
    // Of exactly n, from the one of n - 1.
    let mut exactly = (1.0 - rate).powi(i32::try_from(calls).unwrap());
    let mut less = 0.0;
    for failed in 0..failures {
        less += exactly;
        exactly *= f64::from(calls - failed) / f64::from(failed + 1) * rate / (1.0 - rate);
    }
    // Far out the sum of all others leaves nothing: what is left is the first of the rest, nearly.
    if failures > 0 && 1.0 - less < 1e-9 { exactly } else { 1.0 - less }
}

/// Calls until the first run of so many failures, on average.
fn until_run(of: u32, rate: f64) -> f64 {
    let run = rate.powi(i32::try_from(of).unwrap());
    if rate < 1.0 { (1.0 - run) / (run * (1.0 - rate)) } else { f64::from(of) }
}

/// Two significant digits.
fn two_digits(number: f64) -> String {
    if number < 0.001 {
        return "below 0.001".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a few digits")]
    let decimals = 1 - number.log10().floor() as i32;
    let rounded = (number * 10_f64.powi(decimals)).round() / 10_f64.powi(decimals);
    format!("{rounded:.*}", usize::try_from(decimals.max(0)).unwrap())
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[test]
fn p65_the_page_says_what_chance_does_to_rates() {
    let rows = table("calls in an interval");
    assert_eq!(rows.len(), 10, "the table is there");
    for row in rows {
        let (calls, threshold): (u32, u32) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        let failures = (calls * threshold).div_ceil(100);
        assert_eq!(row[2], two_digits(INTERVALS_A_DAY * tail(calls, 0.01, failures)), "{row:?}");
        assert_eq!(row[3], percent(tail(calls, 0.21, failures)), "{row:?}");
    }
}

#[test]
fn p65_the_page_says_what_chance_does_to_streaks() {
    let rows = table("`consecutive5xxErrors`");
    assert_eq!(rows.len(), 3, "the table is there");
    for row in rows {
        let streak: u32 = row[0].parse().unwrap();
        let a_day = 86_400.0 * CALLS_A_SECOND / until_run(streak, 0.01);
        assert_eq!(row[1], two_digits(a_day), "{row:?}");
        for (cell, rate) in row[2..].iter().zip([0.21, 0.5, 1.0]) {
            let seconds = until_run(streak, rate) / CALLS_A_SECOND;
            let told: f64 = cell.strip_suffix(" s").unwrap().parse().unwrap();
            assert!((told / seconds - 1.0).abs() < 0.05, "{row:?}: {seconds} at {rate}");
        }
    }
}

fn seeded(hosts: usize, seed: u64, policy: OutlierPolicy) -> Rig {
    Rig { rng: Rng::new(seed), ..Rig::new(hosts, policy) }
}

/// An interval with so many calls to each host, of which the first host fails so many of a thousand by chance, and the others
/// ten; then its sweep. Whether the first is out, and whether another is.
fn interval(rig: &mut Rig, calls: u32, first: u32) -> (bool, bool) {
    for host in 0..rig.hosts.len() {
        by_chance(rig, host, calls, if host == 0 { first } else { 10 });
    }
    rig.sweep();
    let ejected = rig.ejected();
    (ejected.contains(&0), ejected.iter().any(|host| *host > 0))
}

fn above(threshold: u32) -> OutlierPolicy {
    let rate = FailurePercentagePolicy {
        threshold,
        minimum_hosts: 1,
        request_volume: 100,
        ..FailurePercentagePolicy::default()
    };
    OutlierPolicy { failure_percentage: Some(rate), ..policy() }
}

#[test]
fn p65_in_a_thousand_clusters_a_gap_of_twenty_points_is_found_within_thirty_seconds_and_nobody_else_is() {
    let (mut late, mut by_mistake) = (0, 0);
    for seed in 0..1_000 {
        let mut rig = seeded(4, seed, above(15));
        let mut found = false;
        for _ in 0..3 {
            let (first, other) = interval(&mut rig, 100, 210);
            found |= first;
            by_mistake += u32::from(other);
        }
        late += u32::from(!found);
    }
    // Missed three times in a row: 0.05 to the third, of a thousand.
    assert!(late <= 3, "{late} of 1000 found late");
    assert_eq!(by_mistake, 0, "a healthy host was ejected");
}

#[test]
fn p65_the_page_says_how_often_the_worst_of_good_hosts_is_ejected_for_it() {
    let rows = table("hosts");
    assert_eq!(rows.len(), 3, "the table is there");
    for row in rows {
        let hosts: usize = row[0].parse().unwrap();
        for (cell, factor) in row[1..].iter().zip([1_900, 3_000]) {
            let success_rate =
                Some(SuccessRatePolicy { stdev_factor_thousandths: factor, ..SuccessRatePolicy::default() });
            let intervals = 400;
            let ejected = (0..intervals)
                .filter(|seed| {
                    let mut rig = seeded(hosts, *seed, OutlierPolicy { success_rate, ..policy() });
                    let (first, other) = interval(&mut rig, 100, 10);
                    first || other
                })
                .count();
            let told: f64 = cell.strip_suffix(" %").unwrap().parse().unwrap();
            #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
            let seen = 100.0 * ejected as f64 / intervals as f64;
            assert!((told - seen).abs() < 8.0, "{row:?}: {seen} % with {factor}");
        }
    }
}
