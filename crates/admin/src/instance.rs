//! Finding the proxy that runs on this machine: each running instance keeps a locked file in a runtime directory.
//!
//! The lock is what says that an instance lives: the system releases it when the process ends, however it ends, so a file
//! that can be locked is stale whatever its name says, and whoever finds it removes it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::client::AdminAddress;

/// Address that tools try when nothing else says where the proxy is; Istio's.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:15000";
/// Environment variable that says where the proxy is.
pub const VARIABLE: &str = "FUSEBOARD_ADMIN";

/// Why no address was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// [`VARIABLE`] holds no address.
    #[error("{VARIABLE}={value}: {problem}")]
    Variable {
        /// What it holds.
        value: String,
        /// What is wrong with it.
        problem: crate::client::BadAddress,
    },
    /// Several instances run, and nothing says which is meant.
    #[error("{} proxies run here: {}; say which one with {VARIABLE} or --admin", .0.len(), list(.0))]
    Several(Vec<Instance>),
}

fn list(instances: &[Instance]) -> String {
    let each: Vec<String> = instances.iter().map(|i| format!("{} (pid {})", i.admin, i.pid)).collect();
    each.join(", ")
}

/// A running instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Process id.
    pub pid: u32,
    /// Its admin address, as text.
    pub admin: String,
}

/// The runtime directory of this user: `$XDG_RUNTIME_DIR/fuseboard`, else a folder of the user's own under the system's
/// temporary directory.
#[derive(Clone, Debug)]
pub struct RuntimeDirectory(PathBuf);

impl RuntimeDirectory {
    /// The one that the environment names.
    pub fn from_environment() -> Self {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| Path::new(path).is_absolute());
        Self(match runtime {
            Some(path) => Path::new(&path).join("fuseboard"),
            None => std::env::temp_dir().join(format!("fuseboard-{}", rustix::process::getuid().as_raw())),
        })
    }

    /// A given one.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Writes this process's instance file; it exists until the result is dropped.
    pub fn announce(&self, admin: &AdminAddress) -> io::Result<Announcement> {
        self.ensure()?;
        let pid = std::process::id();
        let instance = Instance { pid, admin: admin.to_string() };
        let draft = self.0.join(format!("{pid}.draft"));
        // An earlier process with the same id may have left one.
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        // Locked before it has its name: whoever sees the name sees the lock.
        file.lock()?;
        file.write_all(serde_json::to_string(&instance)?.as_bytes())?;
        let path = self.0.join(format!("{pid}.json"));
        fs::rename(&draft, &path)?;
        Ok(Announcement { path, _lock: file })
    }

    /// The instances that run now, by process id. Files of ended ones are removed.
    pub fn instances(&self) -> Vec<Instance> {
        if self.check().is_err() {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut found: Vec<Instance> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(|path| read_live(&path))
            .collect();
        found.sort_by_key(|instance| instance.pid);
        found
    }

    /// Makes the directory, for this user only.
    fn ensure(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        self.check()
    }

    /// Refuses a directory that somebody else made or may write: its files could send our tools anywhere.
    fn check(&self) -> io::Result<()> {
        let meta = fs::symlink_metadata(&self.0)?;
        let ours = meta.is_dir() && meta.uid() == rustix::process::getuid().as_raw();
        if ours && meta.mode() & 0o022 == 0 {
            return Ok(());
        }
        let text = format!("{} is not a directory that only this user may write", self.0.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
    }
}

/// The instance behind a file; `None`, and no file any more, when it has ended.
fn read_live(path: &Path) -> Option<Instance> {
    let file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => serde_json::from_reader(file).ok(),
        Ok(()) => {
            let _ = fs::remove_file(path);
            None
        }
        Err(TryLockError::Error(_)) => None,
    }
}

/// This process's instance file; dropped, it is removed.
#[derive(Debug)]
pub struct Announcement {
    path: PathBuf,
    _lock: File,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Where the proxy's admin server is: what `variable` (the value of [`VARIABLE`]) says, else the only running instance, else
/// [`DEFAULT_ADDRESS`].
pub fn discover(
    variable: Option<&str>,
    directory: &RuntimeDirectory,
) -> Result<AdminAddress, DiscoveryError> {
    if let Some(value) = variable.filter(|value| !value.is_empty()) {
        return value
            .parse()
            .map_err(|problem| DiscoveryError::Variable { value: value.to_owned(), problem });
    }
    let instances = directory.instances();
    match instances.as_slice() {
        [] => Ok(AdminAddress::default()),
        [only] => Ok(only.admin.parse().unwrap_or_default()),
        _ => Err(DiscoveryError::Several(instances)),
    }
}
