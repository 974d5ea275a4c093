//! Which text of a file counts while it is being saved. Many editors and every `>` of a shell empty a file before they fill
//! it, so a reading in between finds the beginning of a text, and would take the rules that are not there yet for deleted.
//!
//! A text that is shorter than the one before it, or lacks the line break at its end, may be such a beginning. It counts
//! once the file has not changed for [`SETTLE`]; until then the text of before does. Any other text counts at once. What
//! is in the texts does not matter here: a text that ends in the middle of a rule can be a rule all the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fuseboard_config::{Content, SourceText};

/// A file that may be half saved counts as it is when nothing changed in it for this long.
pub const SETTLE: Duration = Duration::from_secs(1);

/// Files that may be half saved.
#[derive(Debug, Default)]
pub(crate) struct Settling(HashMap<Arc<str>, Unsettled>);

#[derive(Debug)]
struct Unsettled {
    content: Content,
    since: Instant,
}

impl Settling {
    /// Puts the text of `before` in the place of each text in `found` that has not settled; a file that is new is left out.
    /// Gives the time to look again.
    pub(crate) fn hold(
        &mut self,
        before: &[SourceText],
        found: &mut Vec<SourceText>,
        now: Instant,
    ) -> Option<Instant> {
        let before: HashMap<&str, &SourceText> =
            before.iter().map(|source| (&*source.path, source)).collect();
        let mut still = HashMap::new();
        found.retain_mut(|source| {
            let old = before.get(&*source.path).copied();
            let Some(unsettled) = self.unsettled(old, source, now) else { return true };
            still.insert(source.path.clone(), unsettled);
            match old {
                Some(old) => source.clone_from(old),
                None => return false,
            }
            true
        });
        self.0 = still;
        self.0.values().map(|unsettled| unsettled.since + SETTLE).min()
    }

    /// What to remember of `source` if its text must not count yet.
    fn unsettled(
        &mut self,
        old: Option<&SourceText>,
        source: &SourceText,
        now: Instant,
    ) -> Option<Unsettled> {
        if old.is_some_and(|old| old.content == source.content) {
            return None;
        }
        match self.0.remove(&source.path) {
            Some(known) if known.content == source.content => (now < known.since + SETTLE).then_some(known),
            // Once caught half saved, it grows in steps of which any may look whole.
            Some(_) => Some(Unsettled { content: source.content.clone(), since: now }),
            None => may_be_a_beginning(old, source)
                .then(|| Unsettled { content: source.content.clone(), since: now }),
        }
    }
}

fn may_be_a_beginning(old: Option<&SourceText>, new: &SourceText) -> bool {
    let (old, new) = (old.map_or(&b"\n"[..], |old| old.content.as_bytes()), new.content.as_bytes());
    new.len() < old.len() || (old.ends_with(b"\n") && !new.ends_with(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One file, looked at now and then.
    struct File {
        settling: Settling,
        counts: Vec<SourceText>,
        start: Instant,
    }

    impl File {
        fn with(text: &str) -> Self {
            let counts = vec![SourceText::new("x.yaml", text)];
            Self { settling: Settling::default(), counts, start: Instant::now() }
        }

        fn missing() -> Self {
            Self { counts: Vec::new(), ..Self::with("") }
        }

        /// What counts when the file holds `text` after so many milliseconds, and when to look again.
        fn at(&mut self, after: u64, text: Option<&str>) -> (Option<&str>, Option<u64>) {
            let mut found: Vec<SourceText> =
                text.into_iter().map(|text| SourceText::new("x.yaml", text)).collect();
            let now = self.start + Duration::from_millis(after);
            let again = self.settling.hold(&self.counts, &mut found, now);
            self.counts = found;
            let again = again.map(|again| u64::try_from((again - self.start).as_millis()).unwrap());
            (self.counts.first().map(|source| std::str::from_utf8(source.content.as_bytes()).unwrap()), again)
        }
    }

    #[test]
    fn an_edit_that_makes_a_file_longer_or_keeps_its_length_counts_at_once() {
        let mut file = File::with("a: 1\n");
        assert_eq!(file.at(0, Some("a: 2\n")), (Some("a: 2\n"), None));
        assert_eq!(file.at(1, Some("a: 2\nb: 1\n")), (Some("a: 2\nb: 1\n"), None));
    }

    #[test]
    fn a_file_that_was_emptied_counts_as_before_until_it_is_whole_and_still() {
        let mut file = File::with("a: 1\n");
        assert_eq!(file.at(50, Some("")), (Some("a: 1\n"), Some(1050)));
        assert_eq!(file.at(900, Some("a: ")), (Some("a: 1\n"), Some(1900)));
        // Longer than before and with a line break at its end, and yet more may come.
        assert_eq!(file.at(1800, Some("a: 2\nb: \n")), (Some("a: 1\n"), Some(2800)));
        assert_eq!(file.at(1900, Some("a: 2\nb: \n")), (Some("a: 1\n"), Some(2800)));
        assert_eq!(file.at(2000, Some("a: 2\nb: 1\n")), (Some("a: 1\n"), Some(3000)));
        assert_eq!(file.at(3000, Some("a: 2\nb: 1\n")), (Some("a: 2\nb: 1\n"), None));
    }

    #[test]
    fn a_file_that_is_saved_as_it_was_needs_no_waiting() {
        let mut file = File::with("a: 1\n");
        assert_eq!(file.at(0, Some("")), (Some("a: 1\n"), Some(1000)));
        assert_eq!(file.at(100, Some("a: 1\n")), (Some("a: 1\n"), None));
        // What was held back is forgotten: the next save starts anew.
        assert_eq!(file.at(2000, Some("")), (Some("a: 1\n"), Some(3000)));
    }

    #[test]
    fn a_file_that_stays_empty_is_empty_in_the_end() {
        let mut file = File::with("a: 1\n");
        assert_eq!(file.at(0, Some("")), (Some("a: 1\n"), Some(1000)));
        assert_eq!(file.at(999, Some("")), (Some("a: 1\n"), Some(1000)));
        assert_eq!(file.at(1000, Some("")), (Some(""), None));
    }

    #[test]
    fn a_deleted_file_is_gone_at_once_even_in_the_middle_of_a_save() {
        let mut file = File::with("a: 1\n");
        assert_eq!(file.at(0, None), (None, None));
        let mut file = File::with("a: 1\n");
        file.at(0, Some(""));
        assert_eq!(file.at(10, None), (None, None));
    }

    #[test]
    fn a_new_file_counts_when_its_last_line_is_whole() {
        let mut file = File::missing();
        assert_eq!(file.at(0, Some("a: ")), (None, Some(1000)));
        assert_eq!(file.at(1000, Some("a: ")), (Some("a: "), None));
        assert_eq!(File::missing().at(0, Some("a: 1\n")), (Some("a: 1\n"), None));
    }

    #[test]
    fn a_file_that_never_had_a_line_break_at_its_end_needs_none() {
        assert_eq!(File::with("{}").at(0, Some("{ }")), (Some("{ }"), None));
    }
}
