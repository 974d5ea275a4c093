//! Archives whose bytes depend on their content alone: entries in order of their names, one time, no owner.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// What stands at one path of an archive.
enum Entry {
    Folder { mode: u32 },
    File { content: Vec<u8>, mode: u32 },
    Link(String),
}

/// Files to be put into an archive, by path.
#[derive(Default)]
pub(super) struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// A file that everybody may read.
    pub(super) fn file(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.put(path, Entry::File { content: content.into(), mode: 0o644 });
    }

    /// A file that everybody may run.
    pub(super) fn program(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.put(path, Entry::File { content: content.into(), mode: 0o755 });
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: impl Into<String>, target: impl Into<String>) {
        self.put(path, Entry::Link(target.into()));
    }

    /// An empty folder with these rights.
    pub(super) fn folder(&mut self, path: impl Into<String>, mode: u32) {
        self.put(path, Entry::Folder { mode });
    }

    /// Puts an entry, and the folders that it lies in.
    fn put(&mut self, path: impl Into<String>, entry: Entry) {
        let path = path.into();
        for (at, _) in path.match_indices('/') {
            self.0.entry(path[..at].to_owned()).or_insert(Entry::Folder { mode: 0o755 });
        }
        self.0.insert(path, entry);
    }

    /// The archive, with `time` on every entry.
    pub(super) fn tar(&self, time: u64) -> anyhow::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let mut header = Header::new_gnu();
            header.set_mtime(time);
            header.set_uid(0);
            header.set_gid(0);
            match entry {
                Entry::Folder { mode } => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(*mode);
                    header.set_size(0);
                    builder.append_data(&mut header, format!("{path}/"), &[][..])?;
                }
                Entry::File { content, mode } => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_mode(*mode);
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, path, content.as_slice())?;
                }
                Entry::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    builder.append_link(&mut header, path, target)?;
                }
            }
        }
        Ok(builder.into_inner()?)
    }
}

/// Compressed, without a name or a time in the header.
pub(super) fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// In hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_writing_does_not_show() {
        let mut one = Tree::default();
        one.file("share/doc/README.md", "text");
        one.program("bin/fuseboard", "binary");
        one.link("bin/fortio", "fuseboard");
        let mut other = Tree::default();
        other.link("bin/fortio", "fuseboard");
        other.program("bin/fuseboard", "binary");
        other.file("share/doc/README.md", "text");
        assert_eq!(one.tar(5).unwrap(), other.tar(5).unwrap());
        assert_ne!(one.tar(5).unwrap(), other.tar(6).unwrap());
    }

    #[test]
    fn an_archive_holds_what_was_put_in_and_the_folders_above() {
        let mut tree = Tree::default();
        tree.program("usr/bin/fuseboard", "binary");
        tree.link("usr/bin/fortio", "fuseboard");
        tree.folder("tmp", 0o1777);
        let bytes = tree.tar(7).unwrap();
        let mut found = Vec::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            found.push((path, header.mode().unwrap(), header.mtime().unwrap()));
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        }
        let expected = [
            ("tmp/", 0o1777),
            ("usr/", 0o755),
            ("usr/bin/", 0o755),
            ("usr/bin/fortio", 0o777),
            ("usr/bin/fuseboard", 0o755),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(path, mode)| (path.to_owned(), mode, 7)).collect();
        assert_eq!(found, expected);
    }
}
