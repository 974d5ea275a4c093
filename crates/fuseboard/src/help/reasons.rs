//! Refusal reasons and response flags, from the tables that answer requests: the closed list of reasons and the table of
//! local answers. `docs/refusals.md` is made from the same two.

use std::fmt::Write as _;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_proxy::{Cause, Row};
use fuseboard_snapshot::Setting;

use super::{Entry, list, paragraph};

pub(super) fn overview() -> (String, Vec<Entry>) {
    let reasons: Vec<Entry> =
        RefusalReason::ALL.iter().map(|reason| Entry::new(reason.token(), reason.meaning())).collect();
    let flags: Vec<Entry> = flags().map(|flag| Entry::new(flag, causes_in_words(flag))).collect();
    let mut text = paragraph(
        "Refusal reasons: why Fuseboard answered in place of the service. The same word stands in the answer \
         (x-fuseboard-refused), in the access log, in statistics and in fuseboard why.",
    );
    text.push('\n');
    text.push_str(&list(&reasons));
    text.push_str("\nResponse flags, Envoy's, in the access log; one flag may have several causes:\n\n");
    text.push_str(&list(&flags));
    text.push_str("\nMore about one: fuseboard help limit.queue_full, fuseboard help UO\n");
    (text, [reasons, flags].concat())
}

/// The page about a reason or a flag.
pub(super) fn find(word: &str) -> Option<String> {
    let reason = RefusalReason::from_token(&word.to_lowercase());
    if let Some(reason) = reason {
        let breaker = reason.is_of_breaker().then_some("CircuitBreaker");
        let setting = Setting::deciding(reason).map(Setting::field).or(breaker);
        let setting = setting.map(|setting| format!(" (decided by {setting})"));
        let meaning = format!("{}{}", reason.meaning(), setting.unwrap_or_default());
        let mut text = format!("{}\n\n{}", reason.token(), paragraph(&meaning));
        text.push_str(&causes(|row| row.reason == Some(reason)));
        text.push_str("\nWhich calls, which limit, whose rule: fuseboard why\n");
        return Some(text);
    }
    let flag = flags().find(|flag| flag.eq_ignore_ascii_case(word))?;
    Some(format!("{flag}, a response flag of the access log\n{}", causes(|row| row.flag == flag)))
}

pub(super) fn words() -> impl Iterator<Item = &'static str> {
    RefusalReason::ALL.iter().map(|reason| reason.token()).chain(flags())
}

/// Each flag once, in the order of the table.
fn flags() -> impl Iterator<Item = &'static str> {
    let mut seen = Vec::new();
    Cause::ALL.iter().map(|cause| cause.row().flag).filter(move |flag| {
        let is_new = *flag != "-" && !seen.contains(flag);
        seen.push(flag);
        is_new
    })
}

fn causes_in_words(flag: &str) -> String {
    let causes = Cause::ALL.iter().filter(|cause| cause.row().flag == flag);
    causes.map(|cause| cause.meaning()).collect::<Vec<_>>().join("; ")
}

/// What happens in each case that `wanted` picks.
fn causes(wanted: impl Fn(&Row) -> bool) -> String {
    let mut text = String::new();
    for cause in Cause::ALL {
        let row = cause.row();
        if !wanted(&row) {
            continue;
        }
        let status = if row.status == 0 { "none, or broken off".to_owned() } else { row.status.to_string() };
        let reason = row.reason.map_or("-", RefusalReason::token);
        let or_none = |text: &'static str| if text.is_empty() { "-" } else { text };
        let _ = write!(
            text,
            "\nWhen: {}\n  answer   {status}\n  flag     {}\n  details  {}\n  reason   {reason}\n  counter  {}\n  retried  {}\n",
            cause.meaning(),
            row.flag,
            or_none(row.details),
            or_none(row.counter),
            if row.retriable { "yes, by Istio's default policy" } else { "no" },
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_and_a_flag_say_what_happens() {
        let page = find("limit.queue_full").unwrap();
        assert!(
            page.contains("answer   503\n") && page.contains("counter  upstream_rq_pending_overflow\n"),
            "{page}"
        );
        assert!(find("uo").unwrap().matches("When: ").count() >= 4);
        assert_eq!(find("nothing"), None);
    }
}
