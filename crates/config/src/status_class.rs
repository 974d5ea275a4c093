//! Sets of HTTP statuses that have a name: `5xx`, `gateway`.

use fuseboard_core::classifier::StatusSet;

/// The set called so.
pub(crate) fn parse(text: &str) -> Option<StatusSet> {
    match text {
        "gateway" => return Some(StatusSet::of(&[502, 503, 504])),
        "server" => return Some(StatusSet::class(5)),
        _ => {}
    }
    let class = text.strip_suffix("xx")?;
    let class = matches!(class, "1" | "2" | "3" | "4" | "5").then(|| class.parse().ok()).flatten()?;
    Some(StatusSet::class(class))
}
