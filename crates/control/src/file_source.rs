//! One reading of the files: what is in force now, and what is wrong with them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use fuseboard_config::folder::{self, Texts};
use fuseboard_config::{Destination, Diagnostics, ListenPlan, Materials, ResourceSet, Severity, Workload};
use fuseboard_snapshot::Snapshot;

use crate::settling::{SETTLE, Settling};

/// Files and folders that hold the resources of one proxy.
pub struct FileSource {
    paths: Vec<PathBuf>,
    workload: Workload,
    plan: ListenPlan,
    /// The texts that count, which are not always those of the files: see [`Settling`].
    texts: Texts,
    settling: Settling,
    last_good: ResourceSet,
    diagnostics: Diagnostics,
    version: u64,
    /// Since when a file with certificates is broken that was not before.
    broken_since: Option<Instant>,
}

/// What one reading of the files gave.
#[derive(Debug)]
pub struct Update {
    /// What should run now. Resources that are broken in the files are in it as they last were.
    pub snapshot: Arc<Snapshot>,
    /// Every problem of the files, in the order of the files.
    pub diagnostics: Diagnostics,
    /// Those that the reading before did not find; wherever in its file a problem is now, it stays the same one.
    pub new: Diagnostics,
    /// Those that only the reading before found.
    pub gone: Diagnostics,
    /// Whether something in the files is not applied because of an error.
    pub held_back: bool,
}

/// What following the files gave.
#[derive(Debug)]
pub struct Followed {
    /// The new reading, if anything changed.
    pub update: Option<Update>,
    /// When to follow again though nothing may have changed by then: a file looks half saved.
    pub again: Option<Instant>,
}

impl FileSource {
    /// A source that has not been read yet. Without paths it holds no resource, and `plan` alone says what runs.
    pub fn new(paths: Vec<PathBuf>, workload: Workload, plan: ListenPlan) -> Self {
        Self {
            paths,
            workload,
            plan,
            texts: Texts::default(),
            settling: Settling::default(),
            last_good: ResourceSet::default(),
            diagnostics: Diagnostics::new(),
            version: 0,
            broken_since: None,
        }
    }

    /// What it reads.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads everything again, as it is now. Nothing that was good is lost: a folder that is gone or a broken edit leaves
    /// the resources of before in force.
    pub fn read(&mut self) -> Update {
        self.settling = Settling::default();
        self.texts = folder::read(&self.paths);
        self.update()
    }

    /// Reads what may have changed, `now`. A file that looks half saved counts as it was before, for a while: see the
    /// module `settling`.
    pub fn follow(&mut self, now: Instant) -> Followed {
        let mut texts = folder::read(&self.paths);
        let again = self.settling.hold(&self.texts.sources, &mut texts.sources, now);
        let (materials_changed, later) = self.materials_changed(now);
        let again = again.into_iter().chain(later).min();
        if texts == self.texts && !materials_changed {
            return Followed { update: None, again };
        }
        self.texts = texts;
        Followed { update: Some(self.update()), again }
    }

    /// Whether files with certificates changed, and when to look again. A pair of which only one half has been replaced, or a
    /// file that is half saved, counts as it was for a while.
    fn materials_changed(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let known = &self.last_good.materials;
        let materials = Materials::read(&self.last_good, &self.plan, known);
        if materials == *known {
            self.broken_since = None;
            return (false, None);
        }
        if !materials.has_problems() || known.has_problems() {
            return (true, None);
        }
        let settled = *self.broken_since.get_or_insert(now) + SETTLE;
        if now < settled { (false, Some(settled)) } else { (true, None) }
    }

    /// The files with certificates that what was read last names.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.last_good.materials.files()
    }

    /// The texts that count, put together.
    fn update(&mut self) -> Update {
        let (mut resources, mut diagnostics) = fuseboard_config::load_texts(&self.texts);
        resources.keep_last_good(&self.last_good);
        resources.read_materials(&self.plan, &self.last_good.materials);
        self.broken_since = None;
        self.version += 1;
        let (snapshot, found) =
            fuseboard_config::resolve(&resources, &self.workload, &self.plan, self.version);
        diagnostics.append(found);
        if self.plan.destination == Destination::ByHost {
            // A rule for `--to` names a service that the files need not know.
            diagnostics.append(fuseboard_config::analyze(&resources, &self.workload));
        }
        diagnostics.sort();
        let unopened = snapshot.listeners.len() < self.plan.listen.len();
        let held_back = !resources.rejected.is_empty()
            || !resources.unreadable.is_empty()
            || resources.materials.holds_back()
            || unopened;
        self.last_good = resources;
        let (new, gone) = (diagnostics.without(&self.diagnostics), self.diagnostics.without(&diagnostics));
        self.diagnostics = diagnostics.clone();
        Update { snapshot: Arc::new(snapshot), diagnostics, new, gone, held_back }
    }
}

impl Update {
    /// Whether there is an error among the problems.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.worst() == Some(Severity::Error)
    }
}
