//! What somebody may have meant: the nearest known word, or the place where a known field belongs.

use fuseboard_api::schema::{Schema, Type};

use crate::load::check::Root;

/// Longest word for which neighbours are looked for: longer ones are no typing mistake, and would be slow.
const LONGEST: usize = 64;

/// The known word nearest to `word`, if it is near: equal but for case, or at most a third of its letters off.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.len().min(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Path of the block that has a field called `key`: of several, the one nearest to the top.
pub(super) fn place_of(key: &str, root: Root) -> Option<String> {
    let mut level = vec![(root.schema, root.prefix.to_owned())];
    while !level.is_empty() {
        if let Some((_, path)) = level.iter().find(|(schema, _)| schema.field(key).is_some()) {
            return Some(if path.is_empty() { "the top level".to_owned() } else { path.clone() });
        }
        level = level.iter().flat_map(|(schema, path)| blocks_of(schema, path)).collect();
    }
    None
}

/// The blocks directly inside `schema`, with their paths.
fn blocks_of(schema: &'static Schema, path: &str) -> impl Iterator<Item = (&'static Schema, String)> {
    schema.fields.iter().filter_map(move |field| {
        let (inner, suffix) = match field.ty {
            Type::Object(inner) => (inner, ""),
            Type::List(Type::Object(inner)) => (*inner, "[]"),
            _ => return None,
        };
        let dot = if path.is_empty() { "" } else { "." };
        Some((inner, format!("{path}{dot}{}{suffix}", field.name)))
    })
}
