//! One reading of the files: what is in force now, and what is wrong with them.

use std::path::PathBuf;

use fuseboard_config::{Destination, Diagnostics, ListenPlan, ResourceSet, Severity, Workload};
use fuseboard_snapshot::Snapshot;

/// Files and folders that hold the resources of one proxy.
pub struct FileSource {
    paths: Vec<PathBuf>,
    workload: Workload,
    plan: ListenPlan,
    last_good: ResourceSet,
    version: u64,
}

/// What one reading of the files gave.
#[derive(Debug)]
pub struct Update {
    /// What should run now. Resources that are broken in the files are in it as they last were.
    pub snapshot: Snapshot,
    /// Every problem of the files, in the order of the files.
    pub diagnostics: Diagnostics,
    /// Whether something in the files is not applied because of an error.
    pub held_back: bool,
}

impl FileSource {
    /// A source that has not been read yet. Without paths it holds no resource, and `plan` alone says what runs.
    pub fn new(paths: Vec<PathBuf>, workload: Workload, plan: ListenPlan) -> Self {
        Self { paths, workload, plan, last_good: ResourceSet::default(), version: 0 }
    }

    /// What it reads.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads everything again. Nothing that was good is lost: a folder that is gone or a broken edit leaves the resources
    /// of before in force.
    pub fn read(&mut self) -> Update {
        let (mut resources, mut diagnostics) = fuseboard_config::load_paths(&self.paths);
        resources.keep_last_good(&self.last_good);
        self.version += 1;
        let (snapshot, found) =
            fuseboard_config::resolve(&resources, &self.workload, &self.plan, self.version);
        diagnostics.append(found);
        if self.plan.destination == Destination::ByHost {
            // A rule for `--to` names a service that the files need not know.
            diagnostics.append(fuseboard_config::analyze(&resources, &self.workload));
        }
        diagnostics.sort();
        let held_back = !resources.rejected.is_empty() || !resources.unreadable.is_empty();
        self.last_good = resources;
        Update { snapshot, diagnostics, held_back }
    }
}

impl Update {
    /// Whether there is an error among the problems.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.worst() == Some(Severity::Error)
    }
}
