//! The control plane: where resources come from (files), noticing that they changed, turning them into snapshots.
//!
//! A [`FileSource`] turns files and folders into snapshots. It remembers the last good version of every resource, so that a
//! broken edit is reported and changes nothing, and the last whole text of every file, so that half a save is not taken for
//! a deletion. [`watch`] says when to look again. Neither knows what a proxy is: whoever reads hands the snapshot on.
//!
//! ```
//! use fuseboard_config::{ListenPlan, Workload};
//! use fuseboard_control::FileSource;
//!
//! let listen = ListenPlan::outbound(vec!["127.0.0.1:0".parse()?]);
//! let mut source = FileSource::new(vec!["no-such-folder".into()], Workload::default(), listen);
//! let update = source.read();
//! assert!(update.held_back && update.has_errors());
//! assert_eq!((update.snapshot.version, update.snapshot.clusters.len()), (1, 0));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod file_source;
mod settling;
mod watch;

pub use file_source::{FileSource, Followed, Update};
pub use settling::SETTLE;
pub use watch::{Next, WatchError, Watcher, watch};
