//! A proxy that follows a folder of rules: what `run` and `demo` have in common. Wiring between control, proxy and the
//! file that lets other tools find the instance.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuseboard_admin::instance::{Announcement, RuntimeDirectory};
use fuseboard_config::{Diagnostics, ListenPlan, Workload};
use fuseboard_control::{FileSource, Next, Update, Watcher};
use fuseboard_proxy::{Proxy, ProxyOptions, Source, StartError};

use crate::exit::{Exit, Failure};

/// What to serve, and whether to follow edits.
pub(crate) struct Plan {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) workload: Workload,
    pub(crate) listen: ListenPlan,
    pub(crate) proxy: ProxyOptions,
    pub(crate) watch: bool,
}

/// A running proxy; it stops following files when dropped.
pub(crate) struct Serving {
    proxy: Arc<Proxy>,
    source: Arc<Mutex<FileSource>>,
    told: Arc<dyn Fn(Told<'_>) + Send + Sync>,
    watcher: Option<Watcher>,
    announcement: Option<Announcement>,
}

/// What the person at the screen should know.
pub(crate) enum Told<'a> {
    /// Problems of the files that were not there before.
    Diagnostics(&'a Diagnostics),
    /// Problems that are not there any more.
    Gone(&'a Diagnostics),
    /// New rules are in force.
    Applied(&'a Update),
    /// The listeners of new rules could not all be opened; what ran before goes on.
    NotApplied(String),
}

impl Serving {
    /// Reads the files, starts the proxy, follows edits. With inherited sockets it accepts nothing before [`Serving::begin`]. Files with errors are refused here: nothing good is known yet.
    pub(crate) fn start(
        plan: Plan,
        told: impl Fn(Told<'_>) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let client =
            Source { namespace: plan.workload.namespace.clone(), labels: plan.workload.labels.clone() };
        let options = ProxyOptions { source: client, ..plan.proxy };
        let inherits = options.inherited.is_some();
        let mut source = FileSource::new(plan.paths, plan.workload, plan.listen);
        let first = source.read();
        told(Told::Diagnostics(&first.new));
        if first.held_back {
            return Err(Failure::message(Exit::BadInput, "the rules have errors, so nothing was started")
                .next("mend them; `fuseboard analyze -f PATH` checks without starting anything"));
        }
        let proxy = fuseboard_proxy::start(options, first.snapshot).map_err(not_started)?;
        let mut serving = Self {
            proxy: Arc::new(proxy),
            source: Arc::new(Mutex::new(source)),
            told: Arc::new(told),
            watcher: None,
            announcement: None,
        };
        if plan.watch {
            serving.watcher = Some(serving.watch()?);
        }
        if !inherits {
            serving.announce();
        }
        Ok(serving)
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Reads the files again, as they are now.
    pub(crate) fn reload(&self) {
        let mut source = lock(&self.source);
        apply(&source.read(), &self.proxy, &*self.told);
    }

    /// Accepts from inherited sockets, in place of the process that had them.
    pub(crate) fn begin(&mut self) {
        self.announce();
        self.proxy.begin();
    }

    /// Tools that are not told where the proxy is find it by this; without it they still can be told.
    pub(crate) fn announce(&mut self) {
        let directory = RuntimeDirectory::from_environment();
        self.announcement = self.proxy.admin_address().and_then(|address| directory.announce(address).ok());
    }

    /// Tools find this process no more.
    pub(crate) fn withdraw(&mut self) {
        self.announcement = None;
    }

    /// Lets go of new connections and waits for running exchanges, as long as the drain time allows.
    pub(crate) fn drain(self) {
        self.proxy.drain();
        // Ends the thread that follows files, which holds on to the proxy.
        drop(self.watcher);
        if let Some(proxy) = Arc::into_inner(self.proxy) {
            proxy.join();
        }
    }

    fn watch(&self) -> Result<Watcher, Failure> {
        let (source, proxy, told) = (self.source.clone(), self.proxy.clone(), self.told.clone());
        let (paths, files) = {
            let source = lock(&source);
            (source.paths().to_vec(), source.files())
        };
        fuseboard_control::watch(&paths, &files, move |now| {
            let mut source = lock(&source);
            let followed = source.follow(now);
            if let Some(update) = followed.update {
                apply(&update, &proxy, &*told);
            }
            Next { again: followed.again, files: source.files() }
        })
        .map_err(|error| Failure::new(Exit::Error, error).next("or start with --watch=false"))
    }
}

/// To be held until what was read is in force: a reading of before must not be applied after one of later.
fn lock(source: &Mutex<FileSource>) -> MutexGuard<'_, FileSource> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_started(error: StartError) -> Failure {
    let next = match &error {
        StartError::Admin { holder, .. } if !holder.is_empty() => {
            "choose another one with --admin; port 0 takes a free one"
        }
        StartError::Metrics { holder, .. } if !holder.is_empty() => {
            "choose another one with --metrics; port 0 takes a free one"
        }
        StartError::Listen(error) if !error.holder.is_empty() => {
            "choose another one with --listen; port 0 takes a free one"
        }
        _ => return Failure::new(Exit::Error, error),
    };
    Failure::new(Exit::Error, error).next(next)
}

fn apply(update: &Update, proxy: &Proxy, told: &(dyn Fn(Told<'_>) + Send + Sync)) {
    told(Told::Diagnostics(&update.new));
    told(Told::Gone(&update.gone));
    let applied = proxy.apply(&update.snapshot);
    proxy.note_rules_held_back(update.held_back || applied.is_err());
    match applied {
        Ok(()) => told(Told::Applied(update)),
        Err(error) => told(Told::NotApplied(error.to_string())),
    }
}
