//! What happened, in the words of a line: for `history` and `watch`.

use anstyle::Style;
use fuseboard_admin::breakers::What;

use super::in_words;
use crate::output;

/// The columns of a line.
pub(super) struct Told {
    pub(super) style: Style,
    pub(super) what: String,
    /// The host, where it is about one.
    pub(super) place: String,
    pub(super) why: String,
    /// For how long.
    pub(super) time: String,
}

impl Told {
    pub(super) fn of(what: &What) -> Self {
        let plain = Self {
            style: output::WARN,
            what: String::new(),
            place: String::new(),
            why: String::new(),
            time: String::new(),
        };
        match what {
            What::Breaker { host, from, to, cause, open_for_ms, shadow } => {
                let style = match to.as_str() {
                    "open" => output::BAD,
                    "closed" => output::GOOD,
                    _ => output::WARN,
                };
                let shadow = if *shadow { " (shadow)" } else { "" };
                let change = format!("{from} -> {to}").replace('_', "-").to_uppercase();
                let time = open_for_ms.map(whole).unwrap_or_default();
                let place = host.clone().unwrap_or_default();
                Self { style, what: change + shadow, place, why: cause.words.clone(), time }
            }
            What::Ejected { host, cause, number, time_ms } => {
                let why = format!("{}, number {number}", cause.words);
                Self {
                    style: output::BAD,
                    place: host.clone(),
                    why,
                    time: whole(*time_ms),
                    ..plain.named("EJECT")
                }
            }
            What::Returned { host } => {
                Self { style: output::GOOD, place: host.clone(), ..plain.named("RETURN") }
            }
            What::EjectionRefused { host, cause, more, .. } => {
                let more = if *more > 0 { format!(" ({more} more)") } else { String::new() };
                Self { place: host.clone(), why: cause.words.clone() + &more, ..plain.named("NOT EJECTED") }
            }
            What::LimitReached { cause, setting, bound } => {
                let limit = match (setting, bound) {
                    (Some(setting), Some(bound)) => format!(" ({setting} = {bound})"),
                    (Some(setting), None) => format!(" ({setting})"),
                    _ => String::new(),
                };
                Self { style: output::BAD, why: cause.token.clone() + &limit, ..plain.named("LIMIT REACHED") }
            }
            What::LimitLeft { cause, refused, lasted_ms } => {
                let why = format!("{}, refused {refused}", cause.token);
                Self { style: output::GOOD, why, time: whole(*lasted_ms), ..plain.named("LIMIT LEFT") }
            }
            What::OverrideSet { host, force, time_ms, reason, by } => Self {
                place: host.clone().unwrap_or_default(),
                why: format!("{force}{}: {reason}", of(by)),
                time: whole(*time_ms),
                ..plain.named("OVERRIDE SET")
            },
            What::OverrideEnded { host, force, how, reason, by } => Self {
                place: host.clone().unwrap_or_default(),
                why: format!("{force}{}, {how}: {reason}", of(by)),
                ..plain.named("OVERRIDE ENDED")
            },
        }
    }

    fn named(self, what: &str) -> Self {
        Self { what: what.to_owned(), ..self }
    }
}

fn of(by: &str) -> String {
    if by.is_empty() { String::new() } else { format!(" by {by}") }
}

/// Whole seconds, rounded up.
fn whole(millis: u64) -> String {
    in_words(millis.div_ceil(1000))
}
