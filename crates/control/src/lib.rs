//! The control plane: where resources come from (files), watching them, pushing snapshots.
//!
//! A [`FileSource`] turns a folder into snapshots. It remembers the last good version of every resource, so that a broken
//! edit is reported and changes nothing. It does not know what a proxy is.

mod file_source;
mod watch;

pub use file_source::{FileSource, Update};
pub use watch::{WatchError, Watcher, watch};
