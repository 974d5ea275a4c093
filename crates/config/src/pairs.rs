//! Which files of a folder are certificates and their keys: `NAME.crt` beside `NAME.key`, in the folder itself and in those in it, so
//! that mounted `Secret`s (`tls.crt`, `tls.key`) count as they are. What is in the files is `material`'s business.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::material::Problem;

/// Most pairs of one folder.
const MAX_PAIRS: usize = 1000;

/// A chain and its key.
pub(crate) type Pair = (PathBuf, PathBuf);

/// The pairs of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// In the order of their paths, those of the folder itself first.
    pub(crate) found: Vec<Pair>,
    /// What is wrong with the folder; files that are no pair are not used.
    pub(crate) problems: Vec<Problem>,
    /// The folder and those in it, for watching.
    pub(crate) folders: Vec<PathBuf>,
}

/// The halves of pairs in one folder, by name.
#[derive(Default)]
struct Halves(BTreeMap<PathBuf, (bool, bool)>);

impl Pairs {
    /// The pairs that are in `folder` now. One that is gone or has none keeps those of `before`: it may be on its way.
    pub(crate) fn read(folder: &Path, before: Option<&Self>) -> Self {
        let mut pairs = Self::default();
        let mut inner = Vec::new();
        pairs.take(folder, Some(&mut inner));
        inner.sort();
        for folder in &inner {
            pairs.take(folder, None);
        }
        if pairs.found.len() > MAX_PAIRS {
            pairs.found.truncate(MAX_PAIRS);
            pairs.say(folder, format!("has more than {MAX_PAIRS} pairs: the first {MAX_PAIRS} are used"));
        }
        if pairs.found.is_empty() {
            if pairs.problems.is_empty() {
                pairs.say(folder, "has no NAME.crt with its NAME.key".to_owned());
            }
            pairs.found = before.map(|before| before.found.clone()).unwrap_or_default();
        }
        pairs
    }

    /// The pairs of one folder; the folders in it go to `inner`.
    fn take(&mut self, folder: &Path, mut inner: Option<&mut Vec<PathBuf>>) {
        self.folders.push(folder.to_owned());
        let mut halves = Halves::default();
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.say(folder, format!("cannot be read: {error}")),
        };
        for entry in entries {
            // In a mounted `Secret` these are the folders that its visible links lead into.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            match &mut inner {
                Some(inner) if path.is_dir() => inner.push(path),
                _ => halves.add(&path),
            }
        }
        for (name, halves) in halves.0 {
            let (chain, key) = (name.with_added_extension("crt"), name.with_added_extension("key"));
            match halves {
                (true, true) => self.found.push((chain, key)),
                // An authority, as cert-manager puts it into its secrets: it has no key.
                (true, false) if name.file_name().is_some_and(|name| name == "ca") => {}
                (true, false) => self.say(&chain, format!("has no {} beside it", last(&key))),
                (false, _) => self.say(&key, format!("has no {} beside it", last(&chain))),
            }
        }
    }

    fn say(&mut self, file: &Path, words: String) {
        self.problems.push(Problem { file: file.to_owned(), words });
    }
}

impl Halves {
    fn add(&mut self, path: &Path) {
        let Some(extension) = path.extension() else { return };
        let (is_chain, is_key) = (extension == "crt", extension == "key");
        if is_chain || is_key {
            let halves = self.0.entry(path.with_extension("")).or_default();
            *halves = (halves.0 || is_chain, halves.1 || is_key);
        }
    }
}

fn last(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::TempDir::new().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn shown(pairs: &Pairs, folder: &Path) -> (Vec<String>, Vec<String>) {
        let short = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
        let found = pairs.found.iter().map(|(chain, _)| short(chain)).collect();
        let said = pairs.problems.iter().map(|one| format!("{} {}", short(&one.file), one.words)).collect();
        (found, said)
    }

    #[test]
    fn pairs_are_found_in_the_folder_and_one_below() {
        let files = [
            "b.crt",
            "b.key",
            "a.example.crt",
            "a.example.key",
            "ca.crt",
            "notes.txt",
            ".hidden.key",
            "z/tls.crt",
            "z/tls.key",
            "z/ca.crt",
            "..data/tls.crt",
            "z/deeper/x.crt",
        ];
        let folder = folder(&files);
        let found = shown(&Pairs::read(folder.path(), None), folder.path());
        assert_eq!(found, (vec!["a.example.crt".into(), "b.crt".into(), "z/tls.crt".into()], vec![]));
    }

    #[test]
    fn every_half_is_told_at_once_and_the_whole_ones_are_used() {
        let folder = folder(&["a.crt", "b.key", "c.crt", "c.key", "s/tls.key"]);
        let (found, said) = shown(&Pairs::read(folder.path(), None), folder.path());
        assert_eq!(found, ["c.crt"]);
        let halves = [
            "a.crt has no a.key beside it",
            "b.key has no b.crt beside it",
            "s/tls.key has no tls.crt beside it",
        ];
        assert_eq!(said, halves);
    }

    #[test]
    fn a_folder_that_is_empty_or_gone_keeps_what_it_had() {
        let folder = folder(&["a.crt", "a.key"]);
        let before = Pairs::read(folder.path(), None);
        fs::remove_file(folder.path().join("a.crt")).unwrap();
        fs::remove_file(folder.path().join("a.key")).unwrap();
        let empty = Pairs::read(folder.path(), Some(&before));
        assert_eq!((&empty.found, empty.problems.len()), (&before.found, 1));
        let path = folder.path().to_owned();
        drop(folder);
        let gone = Pairs::read(&path, Some(&before));
        assert_eq!((&gone.found, gone.problems.len()), (&before.found, 1));
        assert!(gone.problems[0].words.starts_with("cannot be read"));
    }
}
