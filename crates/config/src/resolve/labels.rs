//! Labels as plain text, and whether a selector matches them.

use std::collections::BTreeMap;

use fuseboard_api::{Map, Spanned};

/// Keys and values.
pub(crate) type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// What was written; absent is the same as empty.
pub(crate) fn plain(written: Option<&Spanned<Map<String>>>) -> Labels<'_> {
    let entries = written.into_iter().flat_map(|labels| &labels.value);
    entries.map(|(key, value)| (key.as_str(), value.value.as_str())).collect()
}

/// Whether something labelled `own` has all that `selector` asks for.
pub(crate) fn matches<'o>(selector: &Labels, own: impl Fn(&str) -> Option<&'o str>) -> bool {
    selector.iter().all(|(key, value)| own(key) == Some(value))
}
