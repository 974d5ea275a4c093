//! Numbers, counts and times in words.

use std::time::Duration;

use fuseboard_core::limit::UNLIMITED;
use fuseboard_snapshot::{Cluster, EndpointHealth};

const CARDINALS: [&str; 13] =
    ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const ORDINALS: [&str; 13] = [
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
];

/// `two`, `100`
pub(super) fn cardinal(number: u64) -> String {
    let word = usize::try_from(number).ok().and_then(|index| CARDINALS.get(index));
    word.map_or_else(|| number.to_string(), ToString::to_string)
}

/// `third`, `101st`
pub(super) fn ordinal(number: u64) -> String {
    if let Some(word) = usize::try_from(number).ok().and_then(|index| ORDINALS.get(index)) {
        return (*word).to_owned();
    }
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// `1 host`, `3 hosts`
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `1.9`, of 1900.
pub(super) fn thousandths(number: u32) -> String {
    let text = format!("{}.{:03}", number / 1_000, number % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A bound, or `unlimited`.
pub(super) fn bound(number: u32) -> String {
    if number == UNLIMITED { "unlimited".to_owned() } else { number.to_string() }
}

/// `30s`, `250ms`, `1h`: as people write them in rules.
pub(super) fn time(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) && millis >= 120_000 => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// Endpoints that their source says are ready.
pub(super) fn ready(cluster: &Cluster) -> usize {
    cluster.endpoints.iter().filter(|endpoint| endpoint.health == EndpointHealth::Healthy).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_words_as_far_as_people_say_them() {
        assert_eq!([cardinal(1), cardinal(12), cardinal(13)], ["one", "twelve", "13"]);
        assert_eq!([3, 21, 111, 112, 102].map(ordinal), ["third", "21st", "111th", "112th", "102nd"]);
    }

    #[test]
    fn thousandths_are_written_as_short_as_they_are() {
        assert_eq!([1_900, 2_000, 1_005, 0].map(thousandths), ["1.9", "2", "1.005", "0"]);
    }

    #[test]
    fn times_read_as_they_are_written() {
        let times = [250, 1000, 60_000, 300_000, 3_600_000].map(|millis| time(Duration::from_millis(millis)));
        assert_eq!(times, ["250ms", "1s", "60s", "5m", "1h"]);
    }
}
