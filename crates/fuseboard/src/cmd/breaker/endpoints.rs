//! Breakers of endpoints in the words of `fuseboard breaker`: one state for all of them, and a table with a line for each.

use fuseboard_admin::breakers::{Breaker, EndpointBreaker, EndpointBreakers};

use super::{in_words, next_probe, state as state_of, state_behind};
use crate::table::{self, Cell};

/// `1/3 OPEN`: how many of `hosts` are in the worst state that there is; `CLOSED` if all are.
pub(super) fn state(breakers: &EndpointBreakers, hosts: usize) -> Cell {
    let Some(worst) = worst(breakers) else { return Cell::plain("-") };
    if worst.breaker.state == "closed" {
        return state_of(&worst.breaker);
    }
    let same = breakers.endpoints.iter().filter(|one| one.breaker.state == worst.breaker.state).count();
    state_behind(&format!("{same}/{hosts} "), &worst.breaker)
}

/// The endpoint that is worst off, the first of several: open before half-open before the smallest share of traffic.
pub(super) fn worst(breakers: &EndpointBreakers) -> Option<&EndpointBreaker> {
    let rank = |breaker: &Breaker| match breaker.state.as_str() {
        "open" => (0, 0, false),
        "half_open" => (1, 0, false),
        _ => (2, breaker.traffic_percent, breaker.r#override.is_none()),
    };
    breakers.endpoints.iter().min_by_key(|one| rank(&one.breaker))
}

/// A line for each endpoint.
pub(super) fn show(breakers: &EndpointBreakers) -> String {
    let by_hand = breakers.settings.is_empty();
    if breakers.endpoints.is_empty() {
        return "a breaker for each endpoint, and no endpoint\n".to_owned();
    }
    let heads = [
        "ENDPOINT", "POD", "STATE", "FOR", "WHY", "PROBE IN", "TRAFFIC", "CALLS", "FAILED", "SLOW",
        "IN A ROW", "TRIPS",
    ];
    let rows: Vec<_> = breakers.endpoints.iter().map(row).collect();
    let whose = if by_hand {
        "no CircuitBreaker is for single endpoints: these breakers go with their overrides"
    } else {
        "a breaker for each endpoint"
    };
    format!("{whose}\n{}", table::lines("  ", &heads, &rows))
}

fn row(EndpointBreaker { address, pod, breaker }: &EndpointBreaker) -> Vec<Cell> {
    let window = &breaker.window;
    let order = breaker.r#override.as_ref();
    let why = order.map_or_else(
        || breaker.cause.words.clone(),
        |order| format!("{} for another {}", breaker.cause.words, in_words(order.left_ms.div_ceil(1000))),
    );
    let mut row = vec![
        Cell::plain(address),
        Cell::plain(pod),
        state_of(breaker),
        Cell::plain(in_words(breaker.since_ms / 1000)),
        Cell::plain(why),
        Cell::plain(breaker.next_probe_in_ms.map(next_probe).unwrap_or_default()),
        Cell::plain(format!("{} %", breaker.traffic_percent)),
    ];
    let numbers =
        [window.calls, window.failures, window.slow, breaker.consecutive_failures.into(), breaker.trips];
    row.extend(numbers.map(|number| Cell::plain(number.to_string())));
    row
}
