//! Whether requests have become dearer: their instructions beside those that docs/benchmarks.md states, and a breaker's share
//! beside its goal.

use super::{BREAKER, Cost, RULE};

/// Compilers and C libraries differ by less than this; what matters is more.
const TOLERANCE_PERCENT: f64 = 10.0;
/// A closed breaker with every condition on, of the whole request.
const BREAKER_PERCENT: f64 = 4.0;

/// What is wrong, a line each.
pub(super) fn problems(costs: &[Cost], page: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for cost in costs {
        let Some(stated) = stated(page, cost.name) else {
            problems.push(format!("{}: not in docs/benchmarks.md; write it with --write", cost.name));
            continue;
        };
        let more = 100.0 * (cost.instructions / stated - 1.0);
        if more > TOLERANCE_PERCENT {
            let (name, count) = (cost.name, cost.instructions);
            problems.push(format!(
                "{name}: {count:.0} instructions, {more:.0} % more than the {stated:.0} of docs/benchmarks.md"
            ));
        }
    }
    let count = |name| costs.iter().find(|cost| cost.name == name).map(|cost| cost.instructions);
    if let Some((with, without)) = count(BREAKER).zip(count(RULE)) {
        let more = 100.0 * (with / without - 1.0);
        if more > BREAKER_PERCENT {
            problems.push(format!(
                "a breaker adds {more:.1} % of instructions, and not {BREAKER_PERCENT} at most"
            ));
        }
    }
    problems
}

/// What the page says of a row.
fn stated(page: &str, name: &str) -> Option<f64> {
    let cells =
        page.lines().find_map(|line| line.strip_prefix("| ")?.strip_prefix(name)?.strip_prefix(" | "));
    cells?.split(" | ").next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_dearer_is_named_and_what_became_cheaper_is_not() {
        let page = format!(
            "| no rule | 1000 | 1.00 | 6.0 |\n| {RULE} | 1000 | 1.00 | 6.0 |\n| {BREAKER} | 1000 | 1.03 | 6.0 |\n"
        );
        let cost = |name, instructions| Cost { name, instructions, system_calls: None };
        assert_eq!(
            problems(&[cost("no rule", 1_099.0), cost(RULE, 900.0), cost(BREAKER, 930.0)], &page),
            [""; 0]
        );
        let dearer =
            problems(&[cost("no rule", 1_101.0), cost(RULE, 1_000.0), cost(BREAKER, 1_050.0)], &page);
        assert!(dearer[0].starts_with("no rule: 1101 instructions, 10 % more"), "{dearer:?}");
        assert!(dearer[1].starts_with("a breaker adds 5.0 %"), "{dearer:?}");
        assert_eq!(problems(&[cost("new", 1.0)], &page).len(), 1);
    }
}
