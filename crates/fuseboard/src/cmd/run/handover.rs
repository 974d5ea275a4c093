//! A new process in place of this one, without a moment in which nobody listens (ADR 10): at SIGUSR2 the old process starts
//! the program that its own first argument names, with the same arguments, and hands it the listening sockets. Only when the
//! new one is ready does it get the word to begin; then the old one drains. A new process that fails changes nothing.

mod wire;

use std::env;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use fuseboard_proxy::{Handed, Inherited};
use tokio::sync::oneshot;

use self::wire::Line;
use crate::exit::{Exit, Failure};

/// Tells a new process that its standard input leads to an old one, and in which version of these words.
const VARIABLE: &str = "FUSEBOARD_HANDOVER";
const VERSION: &str = "1";

/// How long a new process may take to read its rules and to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked whether a new process has ended that is not wanted any more, and how long it takes for one step.
const LAST_STEPS: u32 = 100;
const STEP: Duration = Duration::from_millis(20);

/// How long it waits then for the word to begin.
const GO_WITHIN: Duration = Duration::from_secs(30);

/// An attempt to be replaced; dropped, the new process ends.
pub(super) struct Attempt {
    pid: u32,
    /// `None` once it is ready.
    line: Option<Arc<Line>>,
    ready: oneshot::Receiver<anyhow::Result<Child>>,
}

/// A new process that waits for the word to begin.
pub(super) struct Successor {
    line: Arc<Line>,
    child: Child,
}

impl Attempt {
    /// Starts a new process with the sockets of this one.
    pub(super) fn start(sockets: Vec<Handed>) -> anyhow::Result<Self> {
        anyhow::ensure!(
            std::process::id() != 1,
            "this is the first process of its container, which ends when it ends: replace the container"
        );
        let (line, theirs) = wire::pair()?;
        line.set_patience(READY_WITHIN)?;
        let mut arguments = env::args_os();
        let program = arguments.next().context("nobody said which program this is")?;
        let name = program.to_string_lossy().into_owned();
        let child = Command::new(program)
            .args(arguments)
            .env(VARIABLE, VERSION)
            .stdin(Stdio::from(theirs))
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let (pid, line) = (child.id(), Arc::new(line));
        let (told, ready) = oneshot::channel();
        let heard = Arc::clone(&line);
        thread::Builder::new().name("handover".into()).spawn(move || {
            // Nobody listens any more where this process ends first.
            let _ = told.send(prepare(&heard, &sockets, child));
        })?;
        Ok(Self { pid, line: Some(line), ready })
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns when the new process is ready, or is not going to be. May be called again when it was cancelled.
    pub(super) async fn settled(&mut self) -> anyhow::Result<Successor> {
        let child = (&mut self.ready).await??;
        let line = self.line.take().context("it was ready before")?;
        Ok(Successor { line, child })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.hang_up();
        }
    }
}

fn prepare(line: &Line, sockets: &[Handed], mut child: Child) -> anyhow::Result<Child> {
    let prepared = line.send_sockets(sockets).and_then(|()| line.hear_ready());
    let Err(error) = prepared else { return Ok(child) };
    let pid = child.id();
    line.hang_up();
    if let Some(status) = ended(&mut child)? {
        anyhow::bail!("process {pid} ended: {status}");
    }
    child.kill()?;
    child.wait()?;
    if error.kind() == io::ErrorKind::WouldBlock {
        anyhow::bail!("process {pid} was not ready after {} s", READY_WITHIN.as_secs());
    }
    Err(anyhow::Error::new(error).context(format!("process {pid} does not understand what it is to do")))
}

/// How it ended, if it does so by itself now that nobody speaks to it any more.
fn ended(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    for _ in 0..LAST_STEPS {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(STEP);
    }
    Ok(None)
}

impl Successor {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// It begins. An error: it has ended, and this process is still the one that serves.
    pub(super) fn go(&mut self) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(io::Error::other(format!("process {} has ended: {status}", self.pid())));
        }
        self.line.say_go()
    }
}

/// The process that this one takes over from.
pub(super) struct Predecessor(Line);

impl Predecessor {
    /// The one that started this process to be replaced by it, and its sockets; `None`: nobody did.
    pub(super) fn find() -> Result<Option<(Self, Inherited)>, Failure> {
        let Some(version) = env::var_os(VARIABLE) else { return Ok(None) };
        if version != VERSION {
            let said = version.to_string_lossy();
            return Err(Failure::message(Exit::Error, format_args!("{VARIABLE}={said} is not understood"))
                .next("stop the old process and start the new one"));
        }
        let heard = Line::of_stdin().and_then(|line| {
            line.set_patience(GO_WITHIN)?;
            let sockets = line.receive_sockets()?;
            Ok((Self(line), Inherited::new(sockets)))
        });
        heard.map(Some).map_err(lost)
    }

    /// Says that everything stands, and returns when this process is to begin.
    pub(super) fn take_over(self) -> Result<(), Failure> {
        self.0.say_ready().and_then(|()| self.0.hear_go()).map_err(lost)
    }
}

fn lost(error: io::Error) -> Failure {
    let error = anyhow::Error::new(error).context("the process to take over from was lost");
    Failure {
        exit: Exit::Error,
        error,
        next: Some(format!("without one, start with no {VARIABLE} in the environment")),
    }
}
