//! Starting the binary in a home of its own, and reading what it says without ever waiting for ever.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in what it calls too"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes on a loaded machine; a test that passes never waits for it.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Where a test's processes live: they find each other, and nobody else's.
pub(crate) struct Home(TempDir);

/// What a command that ended has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A process that stays; killed when dropped.
pub(crate) struct Process {
    child: Child,
    out: Lines,
    err: Lines,
}

struct Lines(UnboundedReceiver<String>);

impl Home {
    pub(crate) fn new() -> Self {
        let home = TempDir::new().unwrap();
        for folder in ["tmp", "run", "rules"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        Self(home)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The binary under another name.
    pub(crate) fn alias(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fuseboard"), &path).unwrap();
        path
    }

    /// A command line of `program`, split at blanks.
    pub(crate) fn command(&self, program: impl AsRef<Path>, line: &str) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("TMPDIR", self.path("tmp"))
            .env_remove("FUSEBOARD_ADMIN")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("http_proxy")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `fuseboard` with these arguments, to its end.
    pub(crate) async fn fuseboard(&self, line: &str) -> Said {
        self.said(self.command(env!("CARGO_BIN_EXE_fuseboard"), line)).await
    }

    /// The same, while the test goes on.
    pub(crate) fn fuseboard_later(&self, line: &str) -> JoinHandle<Said> {
        let mut command = self.command(env!("CARGO_BIN_EXE_fuseboard"), line);
        tokio::task::spawn_blocking(move || Said::of(&command.output().unwrap()))
    }

    /// Asks again and again until the answer has this in it.
    pub(crate) async fn until(&self, line: &str, part: &str) {
        let mut last = String::new();
        let asked = timeout(PATIENCE, async {
            while !last.contains(part) {
                last = self.fuseboard(line).await.out;
            }
        });
        assert!(asked.await.is_ok(), "no {part:?} in {last:?}");
    }

    /// A command to its end.
    pub(crate) async fn said(&self, mut command: Command) -> Said {
        let running = tokio::task::spawn_blocking(move || command.output().unwrap());
        Said::of(&timeout(PATIENCE, running).await.expect("a command that ends").unwrap())
    }

    /// `fuseboard` with these arguments, which stays.
    pub(crate) fn start(&self, line: &str) -> Process {
        Process::spawn(&mut self.command(env!("CARGO_BIN_EXE_fuseboard"), line))
    }

    /// An httpbin and its address.
    pub(crate) async fn httpbin(&self) -> (Process, SocketAddr) {
        let mut httpbin = self.start("httpbin --listen 127.0.0.1:0");
        let line = httpbin.line("ready").await;
        let address = line.rsplit_once("http://").unwrap().1.parse().unwrap();
        (httpbin, address)
    }

    /// A proxy of `rules/` on one free port of 127.0.0.1, with the two addresses of its ready line.
    pub(crate) async fn proxy(&self, more: &str) -> Proxy {
        let line = format!("run -f rules --listen 127.0.0.1:0 --admin 127.0.0.1:0 {more}");
        let mut process = self.start(&line);
        let ready = process.line("ready").await;
        Proxy { listen: listeners(&ready)[0], admin: after(&ready, "admin "), process }
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// A proxy that is ready.
pub(crate) struct Proxy {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: String,
    pub(crate) process: Process,
}

/// The addresses of a ready line.
pub(crate) fn listeners(ready: &str) -> Vec<SocketAddr> {
    ready.split_whitespace().filter_map(|word| word.strip_prefix("http://")?.parse().ok()).collect()
}

/// The word behind `what`.
pub(crate) fn after(line: &str, what: &str) -> String {
    let rest = line.split_once(what).unwrap_or_else(|| panic!("no {what:?} in {line:?}")).1;
    rest.split_whitespace().next().unwrap().to_owned()
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (out, err) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    /// The next line on stdout with this in it.
    pub(crate) async fn line(&mut self, part: &str) -> String {
        match self.out.find(part).await {
            Ok(line) => line,
            Err(seen) => panic!("no {part:?} on stdout, but {seen:#?}; stderr {:#?}", self.err.rest().await),
        }
    }

    /// The next line on stderr with this in it.
    pub(crate) async fn told(&mut self, part: &str) -> String {
        self.err.find(part).await.unwrap_or_else(|seen| panic!("no {part:?} on stderr, but {seen:#?}"))
    }

    /// What comes on stderr before the next line with this in it.
    pub(crate) async fn told_before(&mut self, part: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let line = self.told("").await;
            if line.contains(part) {
                return before;
            }
            before.push(line);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, and what it said that was not read yet.
    pub(crate) async fn end(mut self) -> (ExitStatus, String, String) {
        let (out, err) = (self.out.rest().await, self.err.rest().await);
        // Its streams are closed, so it is as good as gone.
        (self.child.wait().unwrap(), out.join("\n"), err.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// The next line with this in it, else all that came instead.
    async fn find(&mut self, part: &str) -> Result<String, Vec<String>> {
        let mut seen = Vec::new();
        while let Ok(Some(line)) = timeout(PATIENCE, self.0.recv()).await {
            if line.contains(part) {
                return Ok(line);
            }
            seen.push(line);
        }
        Err(seen)
    }

    async fn rest(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(line) = timeout(PATIENCE, self.0.recv()).await.expect("an end of the output") {
            seen.push(line);
        }
        seen
    }
}

/// The service `httpbin` with one endpoint.
pub(crate) fn service(endpoint: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: httpbin}}\nspec: {{ports: [{{name: http, port: 8000}}]}}\n---\n\
         apiVersion: v1\nkind: Endpoints\nmetadata: {{name: httpbin}}\nsubsets:\n\
         - addresses: [{{ip: {}}}]\n  ports: [{{name: http, port: {}}}]\n",
        endpoint.ip(),
        endpoint.port()
    )
}

/// A rule for it: the limits of the classic experiment. The queue's bound stands in line 13.
pub(crate) fn rule(connections: &str, queue: &str) -> String {
    include_str!("../../src/cmd/demo/pool.yaml")
        .replace("maxConnections: 1", &format!("maxConnections: {connections}"))
        .replace("http1MaxPendingRequests: 1", &format!("http1MaxPendingRequests: {queue}"))
}
