//! Noticing that files changed. Folders are watched rather than files, so that editors that replace a file and `ConfigMap`
//! volumes that swap a link are noticed; a burst of events makes one reading.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use thiserror::Error;

/// A burst ends when nothing happened for this long.
const QUIET: Duration = Duration::from_millis(50);
/// A burst that does not end is read after this long all the same.
const LONGEST_BURST: u32 = 20;
/// A folder that is gone is looked for again this often.
const RETRY: Duration = Duration::from_secs(1);

/// Why files can't be watched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The system offers no watch: no inotify instance left, for example.
    #[error("the system does not let us watch files")]
    Unavailable(#[source] notify::Error),
    /// The watching thread could not be started.
    #[error("no thread to watch files with")]
    Thread(#[source] std::io::Error),
}

/// Watches until it is dropped.
pub struct Watcher {
    wake: Sender<Signal>,
    thread: Option<thread::JoinHandle<()>>,
}

enum Signal {
    Changed,
    Reload,
    Stop,
}

/// What to do after a look at the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// When to look again though nothing may have changed by then.
    pub again: Option<Instant>,
    /// Further files to watch from now on; those of before that are not among them are left.
    pub files: BTreeSet<PathBuf>,
}

/// Calls `changed` on a thread of its own after each burst of changes below `paths` or of `files`, when [`Watcher::reload`]
/// asks, and at the time that the call before gave.
pub fn watch(
    paths: &[PathBuf],
    files: &BTreeSet<PathBuf>,
    mut changed: impl FnMut(Instant) -> Next + Send + 'static,
) -> Result<Watcher, WatchError> {
    let (wake, signals) = mpsc::channel();
    let mut folders = Folders::new(paths, wake.clone())?;
    folders.follow(files);
    let thread = thread::Builder::new()
        .name("watch".into())
        .spawn(move || {
            let mut again = None;
            while let Some(()) = next_burst(&signals, &mut folders, again) {
                folders.attach();
                let next = changed(Instant::now());
                again = next.again;
                folders.follow(&next.files);
            }
        })
        .map_err(WatchError::Thread)?;
    Ok(Watcher { wake, thread: Some(thread) })
}

impl Watcher {
    /// Calls `changed` now, whether something changed or not.
    pub fn reload(&self) {
        let _ = self.wake.send(Signal::Reload);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.wake.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for the end of the next burst, at most until `again`; `None`: it is time to stop.
fn next_burst(signals: &Receiver<Signal>, folders: &mut Folders, again: Option<Instant>) -> Option<()> {
    loop {
        let left = again.map(|again| again.saturating_duration_since(Instant::now()));
        match signals.recv_timeout(left.map_or(RETRY, |left| left.min(RETRY))) {
            Ok(Signal::Changed | Signal::Reload) => break,
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            // A folder that was gone and is back counts as a change.
            Err(RecvTimeoutError::Timeout) if folders.attach() => return Some(()),
            Err(RecvTimeoutError::Timeout) if left.is_some_and(|left| left <= RETRY) => return Some(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    for _ in 0..LONGEST_BURST {
        match signals.recv_timeout(QUIET) {
            Ok(Signal::Changed | Signal::Reload) => {}
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    Some(())
}

/// The folders to watch, and which folder each was when it was last looked at; `None`: it is not watched.
struct Folders {
    watcher: RecommendedWatcher,
    all: Vec<(PathBuf, RecursiveMode, Option<Identity>)>,
    /// So many of them are those of the rules.
    own: usize,
}

/// Device and number of a folder. The system watches folders and not their names: a link that is swapped for one to another
/// folder tells nobody.
type Identity = (u64, u64);

fn identity(folder: &Path) -> Option<Identity> {
    let metadata = fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl Folders {
    fn new(paths: &[PathBuf], wake: Sender<Signal>) -> Result<Self, WatchError> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too; taking it for a change would read for ever.
            if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
                let _ = wake.send(Signal::Changed);
            }
        })
        .map_err(WatchError::Unavailable)?;
        let own: Vec<_> = paths.iter().map(|path| folder_of(path)).collect();
        let mut folders = Self { watcher, own: own.len(), all: own };
        folders.attach();
        Ok(folders)
    }

    /// Watches the folders of these files besides, and those of no others.
    fn follow(&mut self, files: &BTreeSet<PathBuf>) {
        let wanted: BTreeSet<PathBuf> = files.iter().map(|file| folder_with(file)).collect();
        for (folder, _, attached) in self.all.extract_if(self.own.., |(folder, ..)| !wanted.contains(folder))
        {
            if attached.is_some() {
                let _ = self.watcher.unwatch(&folder);
            }
        }
        for folder in wanted {
            let mut known = self.all.iter();
            let covered = |(known, mode, _): &(PathBuf, RecursiveMode, Option<Identity>)| {
                *known == folder || (*mode == RecursiveMode::Recursive && folder.starts_with(known))
            };
            if !known.any(covered) {
                let found = identity(&folder);
                let attached = self.watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok();
                self.all.push((folder, RecursiveMode::NonRecursive, found.filter(|_| attached)));
            }
        }
    }

    /// Watches what is not watched, forgets what is gone; true if a folder came back, or is another one than before.
    fn attach(&mut self) -> bool {
        let mut is_as_before = true;
        let mut came_back = false;
        for (folder, mode, attached) in &mut self.all {
            let found = identity(folder);
            if *attached == found {
                continue;
            }
            if attached.take().is_some() {
                let _ = self.watcher.unwatch(folder);
                is_as_before = false;
            }
            if found.is_some() && self.watcher.watch(folder, *mode).is_ok() {
                *attached = found;
                came_back = true;
            }
        }
        if !is_as_before {
            // Two names of one folder are one watch, which ended with the first of them.
            for (folder, mode, _) in self.all.iter().filter(|(.., attached)| attached.is_some()) {
                let _ = self.watcher.watch(folder, *mode);
            }
        }
        came_back
    }
}

/// A folder is watched with all below it; for a file, the folder it is in.
fn folder_of(path: &Path) -> (PathBuf, RecursiveMode, Option<Identity>) {
    if path.is_file() {
        return (folder_with(path), RecursiveMode::NonRecursive, None);
    }
    (path.to_owned(), RecursiveMode::Recursive, None)
}

/// The folder that a file is in.
fn folder_with(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}
