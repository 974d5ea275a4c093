//! Classes of HTTP statuses, as they are written: `5xx`.

/// The number of a class: 5 for `5xx`.
pub(crate) fn parse(text: &str) -> Option<u16> {
    let class = text.strip_suffix("xx")?;
    matches!(class, "1" | "2" | "3" | "4" | "5").then(|| class.parse().ok()).flatten()
}
