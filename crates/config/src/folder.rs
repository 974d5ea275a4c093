//! Files and folders into texts. Decides which files of a folder count, and how much is read; what is in them is `load`'s
//! business, and watching them `fuseboard_control`'s.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Severity};
use crate::load::MAX_FILE_BYTES;
use crate::source::SourceText;

/// Most files that are read.
const MAX_FILES: usize = 10_000;
/// Most bytes that are read of all files together.
const MAX_TOTAL_BYTES: usize = 256 << 20;
/// Deepest folder below one that was named.
const MAX_DEPTH: usize = 16;

/// What was found under some paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// Files, each folder's in the order of their names.
    pub sources: Vec<SourceText>,
    /// Files and folders that could not be read.
    pub unreadable: Vec<Arc<str>>,
    /// Why.
    pub diagnostics: Diagnostics,
}

/// Reads files, folders with all folders below them, and standard input (`-`).
///
/// Of a folder the files `*.yaml`, `*.yml` and `*.json` count. Names that begin with a dot do not: in a mounted `ConfigMap`
/// they are the folders that its visible links lead into. A file that is reached twice is read once.
pub fn read(paths: &[PathBuf]) -> Texts {
    let mut reader = Reader::default();
    for path in paths {
        if path.as_os_str() == "-" {
            reader.standard_input();
        } else {
            reader.named(path);
        }
    }
    reader.texts
}

#[derive(Default)]
struct Reader {
    texts: Texts,
    seen: HashSet<PathBuf>,
    /// Files come across, those that were read before included.
    met: usize,
    bytes: usize,
}

impl Reader {
    fn standard_input(&mut self) {
        match read_bounded(io::stdin().lock()) {
            Ok(text) => self.texts.sources.push(SourceText::new("-", text)),
            Err(error) => self.failed(Path::new("standard input"), &error),
        }
    }

    /// A path that the user named: must exist, and any file will do.
    fn named(&mut self, path: &Path) {
        match fs::metadata(path) {
            Err(error) => self.failed(path, &error),
            Ok(metadata) if metadata.is_dir() => {
                let before = self.met + self.texts.unreadable.len();
                self.folder(path, 0);
                if before == self.met + self.texts.unreadable.len() {
                    let message = format!("no .yaml, .yml or .json file in {}", path.display());
                    let mut diagnostic = Diagnostic::new(Code::Unreadable, message);
                    diagnostic.severity = Severity::Warning;
                    self.texts.diagnostics.push(diagnostic);
                }
            }
            Ok(_) => self.file(path),
        }
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            let error = io::Error::other(format!("folders are nested more than {MAX_DEPTH} deep"));
            self.failed(path, &error);
            return;
        }
        let mut entries = match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.failed(path, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // A link to a folder is not followed: it may lead back up.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.folder(&path, depth + 1);
            } else if has_extension(&path) {
                match fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => self.file(&path),
                    Ok(_) => {}
                    Err(error) => self.failed(&path, &error),
                }
            }
        }
    }

    fn file(&mut self, path: &Path) {
        self.met += 1;
        if !self.seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())) {
            return;
        }
        if self.texts.sources.len() >= MAX_FILES || self.bytes >= MAX_TOTAL_BYTES {
            let limit = format!("more than {MAX_FILES} files or {} MB in all", MAX_TOTAL_BYTES >> 20);
            return self.failed(path, &io::Error::other(limit));
        }
        match File::open(path).and_then(read_bounded) {
            Ok(text) => {
                self.bytes += text.len();
                self.texts.sources.push(SourceText::new(display(path), text));
            }
            Err(error) => self.failed(path, &error),
        }
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        // Beyond the bounds each further file would be one more line.
        if self.texts.unreadable.len() < MAX_FILES {
            let message = format!("{} cannot be read: {error}", path.display());
            self.texts.diagnostics.push(Diagnostic::new(Code::Unreadable, message));
            self.texts.unreadable.push(display(path).into());
        }
    }
}

/// One byte more than is accepted, so that a larger file is noticed but not read to its end.
fn read_bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn has_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(texts: &Texts, root: &Path) -> Vec<String> {
        let root = format!("{}/", root.display());
        texts.sources.iter().map(|source| source.path.replace(&root, "")).collect()
    }

    #[test]
    fn a_folder_gives_its_yaml_and_json_files_in_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("sub/.hidden")).unwrap();
        for file in ["b.yaml", "a.yml", "c.json", "notes.txt", ".d.yaml", "sub/e.yaml", "sub/.hidden/f.yaml"]
        {
            fs::write(root.join(file), "x").unwrap();
        }
        let texts = read(&[root.to_owned()]);
        assert_eq!(names(&texts, root), ["a.yml", "b.yaml", "c.json", "sub/e.yaml"]);
        assert!(texts.diagnostics.is_empty());
    }

    #[test]
    fn a_mounted_config_map_is_read_once_through_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("..2026_11_23")).unwrap();
        fs::write(root.join("..2026_11_23/dr.yaml"), "x").unwrap();
        symlink("..2026_11_23", root.join("..data")).unwrap();
        symlink("..data/dr.yaml", root.join("dr.yaml")).unwrap();
        assert_eq!(names(&read(&[root.to_owned()]), root), ["dr.yaml"]);
    }

    #[test]
    fn links_that_lead_in_circles_or_nowhere_do_not_hurt() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        symlink(root, root.join("up")).unwrap();
        symlink("nowhere", root.join("gone.yaml")).unwrap();
        let texts = read(&[root.to_owned()]);
        assert!(texts.sources.is_empty());
        assert_eq!(texts.unreadable.len(), 1, "{:?}", texts.unreadable);
    }

    #[test]
    fn a_file_that_is_named_twice_is_read_once_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules");
        fs::write(&file, "x").unwrap();
        let texts = read(&[file.clone(), folder.path().join("./rules")]);
        assert_eq!(texts.sources.len(), 1);

        fs::write(folder.path().join("a.yaml"), "x").unwrap();
        let texts = read(&[folder.path().to_owned(), folder.path().to_owned()]);
        assert_eq!(
            (texts.sources.len(), texts.diagnostics.len()),
            (1, 0),
            "a folder neither, without a warning"
        );
    }

    #[test]
    fn what_is_not_there_is_said_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("a.yaml"), "x").unwrap();
        let missing = root.join("missing");
        let texts = read(&[missing.clone(), root.to_owned()]);
        assert_eq!(names(&texts, root), ["a.yaml"]);
        assert_eq!(texts.unreadable, [missing.display().to_string().into()]);
        assert_eq!(texts.diagnostics.worst(), Some(Severity::Error));
    }

    #[test]
    fn an_empty_folder_is_worth_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let texts = read(&[folder.path().to_owned()]);
        assert_eq!(texts.diagnostics.worst(), Some(Severity::Warning));
    }

    #[test]
    fn of_a_file_that_is_too_large_only_the_beginning_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("large.yaml");
        File::create(&file).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&[file]).sources[0].content.as_bytes().len(), MAX_FILE_BYTES + 1);
    }

    #[test]
    fn folders_have_an_end_in_depth_and_in_number_and_it_is_told() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = root.path().to_owned();
        for depth in 0..=MAX_DEPTH + 1 {
            fs::write(folder.join(format!("{depth}.yaml")), "").unwrap();
            folder.push("below");
            fs::create_dir(&folder).unwrap();
        }
        let texts = read(&[root.path().to_owned()]);
        assert_eq!((texts.sources.len(), texts.unreadable.len()), (MAX_DEPTH + 1, 1));

        let root = tempfile::tempdir().unwrap();
        for number in 0..MAX_FILES + 2 {
            File::create(root.path().join(format!("{number}.yaml"))).unwrap();
        }
        let texts = read(&[root.path().to_owned()]);
        assert_eq!((texts.sources.len(), texts.unreadable.len()), (MAX_FILES, 2));
        let first = texts.diagnostics.iter().next().unwrap();
        assert!(first.message.ends_with("more than 10000 files or 256 MB in all"), "{}", first.message);
    }
}
