//! A tight bound on what this process may take while the chaos goes on: a cgroup (version 2) where one can be made, else the system's own bound on a
//! process's data. Whoever wants more than that is ended, and all that is proven with it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What may come on top of what is held when the bound is set. Chaos takes a few MiB for what the judge remembers.
const ROOM: u64 = 32 << 20;

/// A bound in force.
pub(super) enum Bound {
    Group(Group),
    /// Why there is no group, and what was before.
    Data(String, Rlimit),
}

/// A cgroup with nobody but this process in it.
pub(super) struct Group {
    home: PathBuf,
    /// Where this process came from.
    before: PathBuf,
}

impl Bound {
    pub(super) fn set() -> anyhow::Result<Self> {
        let reason = match Group::enter() {
            Ok(group) => return Ok(Self::Group(group)),
            Err(reason) => reason,
        };
        let before = getrlimit(Resource::Data);
        let bound = data_kib(&fs::read_to_string("/proc/self/status")?)? * 1024 + ROOM;
        setrlimit(Resource::Data, Rlimit { current: Some(bound), maximum: before.maximum })?;
        Ok(Self::Data(reason, before))
    }

    /// What bounds, for the table.
    pub(super) fn text(&self) -> String {
        let room = ROOM >> 20;
        match self {
            Self::Group(_) => format!("a cgroup of {room} MiB for all that came on top"),
            Self::Data(reason, _) => {
                format!("RLIMIT_DATA {room} MiB above what it had, for want of a cgroup: {reason}")
            }
        }
    }

    /// Ends it. A process that is left over is moved back, so that the group can go.
    pub(super) fn lift(self) -> anyhow::Result<()> {
        match self {
            Self::Group(group) => group.leave(),
            Self::Data(_, before) => Ok(setrlimit(Resource::Data, before)?),
        }
    }
}

impl Group {
    fn enter() -> Result<Self, String> {
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let own = own_group(&read("/proc/self/mounts")?, &read("/proc/self/cgroup")?);
        let before = own.ok_or("no cgroup of version 2")?;
        let parent = [Some(before.as_path()), before.parent()]
            .into_iter()
            .flatten()
            .find(|parent| bounds_memory(parent))
            .ok_or_else(|| format!("{} has no children with a bound on memory", before.display()))?;
        let home = parent.join(format!("fuseboard-prove-{}", std::process::id()));
        fs::create_dir(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        let group = Self { home, before };
        match group.fill() {
            Ok(()) => Ok(group),
            Err(error) => {
                // Without a process in it it can go; where it can't, it does no harm.
                let _ = fs::remove_dir(&group.home);
                Err(format!("{}: {error}", group.home.display()))
            }
        }
    }

    fn fill(&self) -> std::io::Result<()> {
        // Memory that is held already stays with the group before.
        fs::write(self.home.join("memory.max"), ROOM.to_string())?;
        fs::write(self.home.join("cgroup.procs"), std::process::id().to_string())
    }

    fn leave(&self) -> anyhow::Result<()> {
        fs::write(self.before.join("cgroup.procs"), std::process::id().to_string())?;
        fs::remove_dir(&self.home).with_context(|| self.home.display().to_string())
    }
}

/// The folder of this process's cgroup of version 2.
fn own_group(mounts: &str, groups: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let folder = fields.next()?;
        (fields.next()? == "cgroup2").then_some(folder)
    })?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own))
}

/// Whether groups below this one can have a bound on memory.
fn bounds_memory(group: &Path) -> bool {
    let controllers = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    controllers.split_whitespace().any(|controller| controller == "memory")
}

/// What a process may write to and shares with nobody, from `/proc/self/status`: what `RLIMIT_DATA` bounds.
fn data_kib(status: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).context("no VmData")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_where_version_2_is_mounted() {
        let mounts =
            "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let groups = "4:memory:/old\n0::/user.slice/session.scope\n";
        let own = own_group(mounts, groups);
        assert_eq!(own.as_deref(), Some(Path::new("/sys/fs/cgroup/unified/user.slice/session.scope")));
        assert_eq!(own_group("cgroup /sys/fs/cgroup/memory cgroup rw 0 0\n", groups), None);
        assert_eq!(own_group(mounts, "4:memory:/old\n"), None);
    }

    #[test]
    fn data_is_read_as_the_kernel_writes_it() {
        assert_eq!(data_kib("VmPeak:\t  10 kB\nVmData:\t    2588 kB\n").unwrap(), 2588);
        assert!(data_kib("VmPeak:\t  10 kB\n").is_err());
    }
}
