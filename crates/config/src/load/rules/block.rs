//! Numbers of our own resources on their own: what nothing can go by is refused. What several settings mean together is looked
//! at when they are put together.

use std::ops::RangeInclusive;
use std::time::Duration;

use fuseboard_api::scalar::IntOrText;
use fuseboard_api::tree::Node;
use fuseboard_api::{List, Span, Spanned, field};

use crate::diagnostic::Code;
use crate::load::report::{FieldPath, Report};
use crate::load::suggest;
use crate::status_class;

pub(super) const MILLI: Duration = Duration::from_millis(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

/// A share that may be switched off with 0.
pub(super) const SHARE_OR_OFF: (RangeInclusive<u32>, &str) =
    (0..=100, "a share in percent, 1 to 100, or 0 for off");
pub(super) const SHARE: (RangeInclusive<u32>, &str) = (1..=100, "a share in percent, 1 to 100");

/// A block of the resource, and where its findings go.
pub(super) struct Block<'b, 'r> {
    pub(super) node: &'b Node,
    pub(super) path: &'b FieldPath<'b>,
    pub(super) report: &'b mut Report<'r>,
}

/// The numbers of one block.
pub(super) type Check = fn(&mut Block<'_, '_>);

/// What counts as a failure.
pub(super) fn failures(failures: &mut Block<'_, '_>) {
    for key in ["statuses", "ignoredStatuses"] {
        let Some(list) = field::<List<IntOrText>>(failures.node, key) else { continue };
        for (index, status) in list.iter().enumerate() {
            failures.status(key, index, status);
        }
    }
}

fn is_name(text: &str) -> bool {
    status_class::parse(text).is_some() || status_class::code(text).is_some()
}

impl Block<'_, '_> {
    /// The numbers of a block in it.
    pub(super) fn inner(&mut self, key: &str, check: Check) {
        if let Some(node) = self.node.get(key) {
            check(&mut Block { node, path: &self.path.key(key), report: &mut *self.report });
        }
    }

    pub(super) fn number(&mut self, key: &str, (range, wanted): &(RangeInclusive<u32>, &str)) {
        if let Some(number) = field::<u32>(self.node, key).filter(|number| !range.contains(&number.value)) {
            self.refuse(key, number.span, &number.value.to_string(), wanted);
        }
    }

    pub(super) fn time(&mut self, key: &str, range: RangeInclusive<Duration>) {
        if let Some(time) = field::<Duration>(self.node, key).filter(|time| !range.contains(&time.value)) {
            let word = |time: Duration| if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") };
            let wanted =
                format!("{} to {}", word(*range.start()), if *range.end() == DAY { "24h" } else { "1h" });
            let found = word(time.value);
            self.refuse(key, time.span, &found, &wanted);
        }
    }

    fn status(&mut self, list: &str, index: usize, status: &Spanned<IntOrText>) {
        let usual = || {
            let usual =
                "write a status (503), a class (5xx, gateway, server), or a code of gRPC (UNAVAILABLE)";
            usual.to_owned()
        };
        let path = self.path.item(list, index);
        match &status.value {
            IntOrText::Int(100..=599) => {}
            IntOrText::Int(number) => {
                let message = format!("{number} is not an HTTP status");
                let named = status_class::code_meant(&number.to_string());
                let help = named.map_or_else(usual, |name| format!("write {name}: codes of gRPC are named"));
                self.report.add(Code::OutOfRange, status.span, &path, message, help);
            }
            IntOrText::Text(text) if is_name(text) => {}
            IntOrText::Text(text) => {
                let near =
                    status_class::code_meant(text).or_else(|| suggest::nearest(text, status_class::names()));
                let message = format!(
                    "{text:?} is neither the name of HTTP statuses nor a code of gRPC that is a failure"
                );
                let help = near.map_or_else(usual, |near| format!("did you mean {near}?"));
                self.report.add(Code::UnknownWord, status.span, &path, message, help);
            }
        }
    }

    pub(super) fn refuse(&mut self, key: &str, span: Span, found: &str, wanted: &str) {
        let message = format!("{key}: {found} is out of range");
        self.report.add(Code::OutOfRange, span, &self.path.key(key), message, format!("write {wanted}"));
    }
}
