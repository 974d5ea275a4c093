//! Diagnostics by code, from the table that `docs/diagnostics.md` is made from.

use fuseboard_config::Code;

use super::{Entry, list, paragraph};

pub(super) fn overview() -> (String, Vec<Entry>) {
    let entries: Vec<Entry> = codes()
        .map(|entry| {
            Entry::new(entry.id, format!("{} ({})", entry.name, entry.severity.as_str().to_lowercase()))
        })
        .collect();
    let mut text = paragraph(
        "Diagnostics: what analyze and run say about files. IST codes are istioctl's and mean what they mean there, FB codes are ours.",
    );
    text.push('\n');
    text.push_str(&list(&entries));
    text.push_str("\nWhat one means and what to do: fuseboard help FB001\n");
    (text, entries)
}

/// The page about a code, or about the name of one.
pub(super) fn find(word: &str) -> Option<String> {
    let is_meant = |known: &str| known.eq_ignore_ascii_case(word);
    let entry = codes().find(|entry| is_meant(entry.id) || is_meant(entry.name))?;
    let paragraphs: Vec<String> = entry
        .text()
        .split("\n\n")
        .map(|text| paragraph(&text.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    let effect = if entry.rejects { "; the resource is not applied" } else { "" };
    Some(format!(
        "{} {}\n{}{effect}\n\n{}",
        entry.id,
        entry.name,
        entry.severity.as_str(),
        paragraphs.join("\n")
    ))
}

pub(super) fn words() -> impl Iterator<Item = &'static str> {
    codes().map(|entry| entry.id)
}

fn codes() -> impl Iterator<Item = fuseboard_config::CodeEntry> {
    Code::ALL.iter().map(|code| code.entry())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_number_and_by_name() {
        let page = find("FB001").unwrap();
        assert!(page.starts_with("FB001 EjectionImpossible\nWarning\n\n`maxEjectionPercent`"), "{page}");
        assert_eq!(find("ejectionimpossible"), Some(page));
        assert!(find("fb107").unwrap().contains("the resource is not applied"));
    }
}
