//! The grammar: a measure, then a condition. Every mistake is told with its place and with what would be right.

use std::ops::Range;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_go as go;

use crate::grpc::status;

use super::{Bound, Condition, ExpectationError, Measure, Operator, Since, StatQuery, Statistic, Which};

const MEASURES: [&str; 15] = [
    "calls",
    "errors",
    "code",
    "refused",
    "overloaded",
    "ejected",
    "stat",
    "p99",
    "min",
    "avg",
    "max",
    "qps",
    "sockets",
    "missed",
    "held",
];
const CONDITION: &str = "expected ==, !=, <, <=, >, >= or between";

/// What the whole text says.
pub(super) fn parse(text: &str) -> Result<(Measure, Condition), ExpectationError> {
    let mut reader = Reader { text, tokens: tokens(text), next: 0 };
    let measure = reader.measure()?;
    let condition = reader.condition(&measure)?;
    match reader.take() {
        Some((word, place)) => {
            Err(reader.error(place, format!("{word:?} is too much: the expectation ends before it")))
        }
        None => Ok((measure, condition)),
    }
}

/// Words and operators with their places.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let is_operator = |c: char| matches!(c, '=' | '!' | '<' | '>');
    let kind = |c: char| if c.is_whitespace() { 0 } else { 1 + u8::from(is_operator(c)) };
    let mut tokens: Vec<(u8, Range<usize>)> = Vec::new();
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match tokens.last_mut() {
            Some((last, place)) if *last == kind(c) => place.end = end,
            _ => tokens.push((kind(c), at..end)),
        }
    }
    tokens.into_iter().filter(|(kind, _)| *kind > 0).map(|(_, place)| place).collect()
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Range<usize>>,
    next: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.next).map(|place| &self.text[place.clone()])
    }

    fn take(&mut self) -> Option<(&'a str, Range<usize>)> {
        let place = self.tokens.get(self.next)?.clone();
        self.next += 1;
        Some((&self.text[place.clone()], place))
    }

    /// The next word, or the end of the text as an error.
    fn expect(&mut self, what: &str) -> Result<(&'a str, Range<usize>), ExpectationError> {
        let end = self.text.trim_end().len();
        self.take().ok_or_else(|| self.error(end..end, what))
    }

    fn error(&self, place: Range<usize>, message: impl Into<String>) -> ExpectationError {
        ExpectationError { text: self.text.to_owned(), place, message: message.into() }
    }

    fn measure(&mut self) -> Result<Measure, ExpectationError> {
        let all = "expected one of calls, errors, code N, refused [REASON], overloaded, ejected, stat NAME, pN, min, avg, max, qps, sockets, missed, held";
        let (word, place) = self.expect(all)?;
        Ok(match word {
            "calls" => Measure::Calls(Which::All),
            "errors" => Measure::Calls(Which::Errors),
            "overloaded" => Measure::Calls(Which::Overloaded),
            "code" => Measure::Calls(self.code()?),
            "refused" => Measure::Calls(self.refused()?),
            "qps" => Measure::Rate,
            "sockets" => Measure::Sockets,
            "missed" => Measure::Missed,
            "held" => Measure::Calls(Which::Held),
            "ejected" => {
                let query = StatQuery::ejections();
                Measure::Stat(self.cluster(query)?)
            }
            "stat" => Measure::Stat(self.stat()?),
            "min" => Measure::Latency(Statistic::Min, Since::Sent),
            "avg" => Measure::Latency(Statistic::Average, Since::Sent),
            "max" => Measure::Latency(Statistic::Max, Since::Sent),
            _ => match percentile(word) {
                Some(percentile) if percentile <= 100.0 => {
                    Measure::Latency(Statistic::Percentile(percentile), self.since()?)
                }
                Some(_) => {
                    return Err(self.error(place, "a percentile lies between 0 and 100, such as p99.9"));
                }
                None => return Err(self.error(place, unknown(word, &MEASURES, all))),
            },
        })
    }

    fn code(&mut self) -> Result<Which, ExpectationError> {
        let what = "expected a status such as 503, a class such as 5xx, -1 for a socket error, or a status of gRPC such as SERVING";
        let (word, place) = self.expect(what)?;
        let class = word
            .strip_suffix("xx")
            .and_then(|digit| digit.parse().ok())
            .filter(|class| (1..=5).contains(class));
        let code = word.parse().ok().filter(|code| *code == -1 || (100..=999).contains(code));
        let code = code.or_else(|| status::named(word));
        match (class, code) {
            (Some(class), _) => Ok(Which::Class(class)),
            (_, Some(code)) => Ok(Which::Code(code)),
            _ => Err(self.error(place, what)),
        }
    }

    fn refused(&mut self) -> Result<Which, ExpectationError> {
        let begins_condition =
            |word: &str| word == "between" || word.starts_with(['=', '!', '<', '>']) || word == "of";
        match self.peek() {
            None => Ok(Which::Refused),
            Some(word) if begins_condition(word) => Ok(Which::Refused),
            Some(word) => {
                let place = self.take().map(|(_, place)| place).unwrap_or_default();
                let tokens = RefusalReason::ALL.map(RefusalReason::token);
                RefusalReason::from_token(word).map(Which::RefusedFor).ok_or_else(|| {
                    let all = format!("expected a reason: {}", tokens.join(", "));
                    self.error(place, unknown(word, &tokens, &all))
                })
            }
        }
    }

    /// `since due` behind a percentile; `since sent` may be said too.
    fn since(&mut self) -> Result<Since, ExpectationError> {
        if self.peek() != Some("since") {
            return Ok(Since::Sent);
        }
        self.next += 1;
        let (word, place) = self.expect("expected sent or due")?;
        match word {
            "sent" => Ok(Since::Sent),
            "due" => Ok(Since::Due),
            _ => Err(self.error(place, unknown(word, &["sent", "due"], "expected sent or due"))),
        }
    }

    /// A name, and perhaps whose.
    fn stat(&mut self) -> Result<StatQuery, ExpectationError> {
        let (name, _) =
            self.expect("expected the name of a statistic, such as upstream_rq_pending_overflow")?;
        self.cluster(StatQuery::named(name))
    }

    fn cluster(&mut self, query: StatQuery) -> Result<StatQuery, ExpectationError> {
        if self.peek() != Some("of") {
            return Ok(query);
        }
        self.next += 1;
        let (cluster, _) = self.expect("expected a part of the cluster's name")?;
        Ok(query.of(cluster))
    }

    fn condition(&mut self, measure: &Measure) -> Result<Condition, ExpectationError> {
        let (word, place) = self.expect(CONDITION)?;
        if word == "between" {
            return self.between(measure);
        }
        let operator = Operator::ALL.iter().find(|(_, sign)| *sign == word).map(|(operator, _)| *operator);
        let Some(operator) = operator else {
            let message = if word == "=" { "write == for equal" } else { CONDITION };
            return Err(self.error(place, message));
        };
        if self.peek() == Some("stat") {
            return Ok(Condition::Stat(operator, self.counterpart(measure)?));
        }
        Ok(Condition::Compare(operator, self.bound(measure)?))
    }

    fn between(&mut self, measure: &Measure) -> Result<Condition, ExpectationError> {
        let low = self.bound(measure)?;
        let (word, place) = self.expect("expected `and` and the upper bound")?;
        if word != "and" {
            return Err(self.error(place, "expected `and` and the upper bound"));
        }
        let from = self.tokens.get(self.next).cloned().unwrap_or_default();
        let high = self.bound(measure)?;
        if std::mem::discriminant(&low) != std::mem::discriminant(&high) {
            return Err(self.error(from, "both bounds need the same unit"));
        }
        if low.number() > high.number() {
            return Err(self.error(from, "the upper bound is below the lower one"));
        }
        Ok(Condition::Between(low, high))
    }

    /// What the proxy counts for the measure, or the statistic that is named.
    fn counterpart(&mut self, measure: &Measure) -> Result<StatQuery, ExpectationError> {
        let (_, place) = self.expect("expected stat")?;
        let named = self.peek().is_some_and(|word| word != "of");
        let query = match measure {
            Measure::Latency(..) | Measure::Rate => {
                return Err(self.error(place, "only numbers of calls can be compared with a statistic"));
            }
            _ if named => return self.stat(),
            Measure::Calls(Which::Refused) => StatQuery::refused(None),
            Measure::Calls(Which::RefusedFor(reason)) => StatQuery::refused(Some(*reason)),
            Measure::Calls(Which::Code(code)) if (100..=999).contains(code) => {
                StatQuery::named(&format!("upstream_rq_{code}"))
            }
            Measure::Calls(Which::Class(class)) => StatQuery::named(&format!("upstream_rq_{class}xx")),
            _ => return Err(self.error(place, "say which: stat NAME, such as stat upstream_rq_total")),
        };
        self.cluster(query)
    }

    fn bound(&mut self, measure: &Measure) -> Result<Bound, ExpectationError> {
        let what = match measure {
            Measure::Calls(Which::All) | Measure::Sockets | Measure::Missed | Measure::Stat(_) => {
                "expected a whole number, such as 188"
            }
            Measure::Calls(_) => "expected a number of calls, such as 188, or a share of them, such as 10%",
            Measure::Latency(..) => "expected a duration with its unit, such as 50ms or 1.5s",
            Measure::Rate => "expected calls per second, such as 100",
        };
        let (word, place) = self.expect(what)?;
        let bound = match measure {
            Measure::Calls(which) => count(word).or_else(|| percent(word).filter(|_| *which != Which::All)),
            Measure::Sockets | Measure::Missed | Measure::Stat(_) => count(word),
            Measure::Latency(..) => go::duration::parse(word)
                .filter(|duration| !duration.negative)
                .map(|duration| Bound::Seconds(duration.magnitude.as_secs_f64())),
            Measure::Rate => number(word.strip_suffix("/s").unwrap_or(word)).map(Bound::PerSecond),
        };
        bound.ok_or_else(|| self.error(place, what))
    }
}

impl Bound {
    fn number(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Percent(number) | Self::Seconds(number) | Self::PerSecond(number) => number,
        }
    }
}

/// The number of `p99.9`, in range or not; `None` for another word.
fn percentile(word: &str) -> Option<f64> {
    number(word.strip_prefix('p')?)
}

fn count(word: &str) -> Option<Bound> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten().map(Bound::Count)
}

fn percent(word: &str) -> Option<Bound> {
    number(word.strip_suffix('%')?).filter(|percent| *percent <= 100.0).map(Bound::Percent)
}

/// Digits and at most one point: no sign, no exponent, no `inf`.
fn number(word: &str) -> Option<f64> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| word.parse().ok()).flatten()
}

/// The message for a word that is not among `known`.
fn unknown(word: &str, known: &[&str], all: &str) -> String {
    let likeness = |one: &str| strsim::normalized_damerau_levenshtein(word, one);
    let best = known.iter().map(|one| (likeness(one), one)).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, best)) if likeness >= 0.6 => format!("{word:?} is unknown; did you mean {best}?"),
        _ => all.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Expectation;
    use super::*;

    fn said(text: &str) -> String {
        Expectation::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn every_form_is_understood() {
        let equal = |count| Condition::Compare(Operator::Equal, Bound::Count(count));
        let full = Which::RefusedFor(RefusalReason::LimitQueueFull);
        let p99 = |since| Measure::Latency(Statistic::Percentile(99.0), since);
        let overflow = StatQuery::named("upstream_rq_pending_overflow");
        for (text, measure, condition) in [
            (
                "code 503 between 10% and 90%",
                Measure::Calls(Which::Code(503)),
                Condition::Between(Bound::Percent(10.0), Bound::Percent(90.0)),
            ),
            ("p99<50ms", p99(Since::Sent), Condition::Compare(Operator::Less, Bound::Seconds(0.05))),
            (
                " p99 since due <= 1.5s ",
                p99(Since::Due),
                Condition::Compare(Operator::AtMost, Bound::Seconds(1.5)),
            ),
            (
                "refused limit.queue_full == stat",
                Measure::Calls(full),
                Condition::Stat(Operator::Equal, StatQuery::refused(Some(RefusalReason::LimitQueueFull))),
            ),
            (
                "code 503 == stat upstream_rq_pending_overflow of httpbin",
                Measure::Calls(Which::Code(503)),
                Condition::Stat(Operator::Equal, overflow.clone().of("httpbin")),
            ),
            (
                "code 5xx == stat of a",
                Measure::Calls(Which::Class(5)),
                Condition::Stat(Operator::Equal, StatQuery::named("upstream_rq_5xx").of("a")),
            ),
            ("qps >= 100", Measure::Rate, Condition::Compare(Operator::AtLeast, Bound::PerSecond(100.0))),
            ("qps > 0.5/s", Measure::Rate, Condition::Compare(Operator::More, Bound::PerSecond(0.5))),
            ("errors == 0", Measure::Calls(Which::Errors), equal(0)),
            ("code -1 == 0", Measure::Calls(Which::Code(-1)), equal(0)),
            ("code SERVING == 0", Measure::Calls(Which::Code(status::SERVING)), equal(0)),
            ("refused == 188", Measure::Calls(Which::Refused), equal(188)),
            ("ejected == 1", Measure::Stat(StatQuery::ejections()), equal(1)),
            ("ejected of reviews == 1", Measure::Stat(StatQuery::ejections().of("reviews")), equal(1)),
            ("stat upstream_rq_pending_overflow == 3", Measure::Stat(overflow), equal(3)),
            ("sockets != 4", Measure::Sockets, Condition::Compare(Operator::NotEqual, Bound::Count(4))),
            ("calls == 30", Measure::Calls(Which::All), equal(30)),
            (
                "overloaded < 3%",
                Measure::Calls(Which::Overloaded),
                Condition::Compare(Operator::Less, Bound::Percent(3.0)),
            ),
            (
                "max < 1s",
                Measure::Latency(Statistic::Max, Since::Sent),
                Condition::Compare(Operator::Less, Bound::Seconds(1.0)),
            ),
        ] {
            assert_eq!(parse(text), Ok((measure, condition)), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_to_write() {
        for (text, message, marks) in [
            ("p99 < 50", "expected a duration with its unit, such as 50ms or 1.5s", "        ^^"),
            (
                "refused limit.quee_full == 3",
                "\"limit.quee_full\" is unknown; did you mean limit.queue_full?",
                "          ^^^^^^^^^^^^^^^",
            ),
            ("error == 0", "\"error\" is unknown; did you mean errors?", "  ^^^^^"),
            ("errors = 0", "write == for equal", "         ^"),
            ("errors", "expected ==, !=, <, <=, >, >= or between", "        ^"),
            (
                "errors ==",
                "expected a number of calls, such as 188, or a share of them, such as 10%",
                "           ^",
            ),
            (
                "errors == 0.5",
                "expected a number of calls, such as 188, or a share of them, such as 10%",
                "            ^^^",
            ),
            ("calls > 10%", "expected a whole number, such as 188", "          ^^^"),
            ("p101 < 1s", "a percentile lies between 0 and 100, such as p99.9", "  ^^^^"),
            (
                "code 5 == 1",
                "expected a status such as 503, a class such as 5xx, -1 for a socket error, or a status of gRPC such as SERVING",
                "       ^",
            ),
            ("code 503 between 5 and 10%", "both bounds need the same unit", "                         ^^^"),
            (
                "code 503 between 5 and 4",
                "the upper bound is below the lower one",
                "                         ^",
            ),
            (
                "errors == 0 and more",
                "\"and\" is too much: the expectation ends before it",
                "              ^^^",
            ),
            ("p99 < stat", "only numbers of calls can be compared with a statistic", "        ^^^^"),
            ("errors == stat", "say which: stat NAME, such as stat upstream_rq_total", "            ^^^^"),
            ("p99 since dew < 1s", "expected sent or due", "            ^^^"),
        ] {
            assert_eq!(said(text), format!("{message}\n  {text}\n{marks}"), "{text}");
        }
        assert!(said("").starts_with("expected one of calls, errors,"));
        assert!(said("colour == 1").starts_with("expected one of calls, errors,"));
    }

    #[test]
    fn places_are_counted_in_characters() {
        assert_eq!(said("stat ü == x"), "expected a whole number, such as 188\n  stat ü == x\n            ^");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            if let Err(error) = Expectation::parse(&text) {
                let _ = error.to_string();
            }
        }

        #[test]
        fn words_of_the_grammar_in_any_order_never_panic(
            words in prop::collection::vec(prop::sample::select(vec![
                "code", "503", "5xx", "between", "and", "10%", "90%", "p99", "since", "due", "<", "==", "50ms", "stat",
                "of", "refused", "limit.queue_full", "ejected", "qps", "!=", "errors",
            ]), 0..8),
            space in prop::sample::select(vec![" ", "", "\t "]),
        ) {
            if let Err(error) = Expectation::parse(&words.join(space)) {
                let _ = error.to_string();
            }
        }

        #[test]
        fn spaces_do_not_matter_around_operators(
            operator in prop::sample::select(Operator::ALL.to_vec()), count in 0..u64::MAX, gap in " {0,3}",
        ) {
            let (operator, sign) = operator;
            let read = parse(&format!("errors{gap}{sign}{gap}{count}")).unwrap();
            prop_assert_eq!(read.1, Condition::Compare(operator, Bound::Count(count)));
        }
    }
}
