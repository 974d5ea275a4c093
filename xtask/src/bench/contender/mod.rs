//! The proxies that are compared, each told to do the same work: connections kept alive on both sides, limits set high, outlier
//! detection where it has it, statistics on, log off, one worker.

mod envoy;
mod fuseboard;
mod haproxy;
mod nginx;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::certificates::Certificates;
use super::row::{Front, Row, Setting, Variant};
use super::{Bench, PROXY_CORE};
use crate::peers;
use crate::process::{self, Server};

pub(super) use fuseboard::rule;

/// How long one may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy, and what it does beyond the work of the row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Contender {
    pub(super) proxy: Proxy,
    pub(super) variant: Variant,
}

/// Which product it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Proxy {
    Fuseboard,
    Haproxy,
    Nginx,
    Envoy,
    /// None at all: the load goes to the origin.
    Direct,
}

/// What a contender is configured for.
pub(super) struct Job<'a> {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) hosts: Vec<SocketAddr>,
    pub(super) setting: Setting,
    pub(super) variant: Variant,
    pub(super) certificates: &'a Certificates,
    /// Where it may put files.
    folder: PathBuf,
}

/// A contender that accepts connections.
pub(super) struct Running {
    pub(super) server: Option<Server>,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    started: Instant,
    /// Requests that take up its limits.
    holding: Vec<TcpStream>,
}

/// Where each product is, or why it is not there.
pub(super) struct Programs(BTreeMap<Proxy, Result<PathBuf, String>>);

impl Contender {
    pub(super) const fn new(proxy: Proxy, variant: Variant) -> Self {
        Self { proxy, variant }
    }

    pub(super) const fn plain(proxy: Proxy) -> Self {
        Self::new(proxy, Variant::Plain)
    }

    pub(super) fn name(self) -> String {
        format!("{}{}", self.proxy.name(), self.variant.suffix())
    }

    /// Starts it on the core of proxies, and waits until it accepts.
    pub(super) fn start(self, bench: &Bench, row: &Row) -> anyhow::Result<Running> {
        let job = self.job(bench, row)?;
        let program = match self.proxy {
            Proxy::Direct => {
                let address = *job.hosts.first().context("no origin")?;
                return Ok(Running {
                    server: None,
                    address,
                    admin: address,
                    started: Instant::now(),
                    holding: Vec::new(),
                });
            }
            proxy => bench.programs.get(proxy).map_err(anyhow::Error::msg)?,
        };
        let arguments = match self.proxy {
            Proxy::Fuseboard => fuseboard::arguments(&job),
            Proxy::Haproxy => haproxy::arguments(&job),
            Proxy::Nginx => nginx::arguments(&job),
            Proxy::Envoy | Proxy::Direct => envoy::arguments(&job),
        }?;
        // The one that logs to its output must not pay for a file that the others don't write.
        let log = match self.variant {
            Variant::Logged => PathBuf::from("/dev/null"),
            _ => job.folder.join("out"),
        };
        let started = Instant::now();
        let mut server = Server::start(self.proxy.name(), Some(PROXY_CORE), program, &arguments, &log)?;
        server.wait_at_most(PATIENCE, job.listen)?;
        let mut running =
            Running { server: Some(server), address: job.listen, admin: job.admin, started, holding: vec![] };
        match (self.proxy, self.variant) {
            (Proxy::Fuseboard, Variant::Full) => running.fill()?,
            // The first answer, a 503, opens the breaker.
            (Proxy::Fuseboard, Variant::Refusing) => drop(process::get(running.address, "origin", "/")?),
            _ => {}
        }
        Ok(running)
    }

    fn job<'a>(self, bench: &'a Bench, row: &Row) -> anyhow::Result<Job<'a>> {
        let folder = bench.scratch.join(self.name().replace([' ', ','], "-"));
        std::fs::create_dir_all(&folder)?;
        let back = self.variant.back(row.setting.back);
        Ok(Job {
            listen: process::free_address()?,
            admin: process::free_address()?,
            hosts: bench.origin.hosts(back),
            setting: Setting { back, ..row.setting },
            variant: self.variant,
            certificates: &bench.certificates,
            folder,
        })
    }
}

impl Running {
    /// How long after exec a request of HTTP/1.1 for `host` was answered 200.
    pub(super) fn ready(&self, host: &str) -> anyhow::Result<Duration> {
        loop {
            if process::get(self.address, host, "/").is_ok_and(|(status, _)| status == 200) {
                return Ok(self.started.elapsed());
            }
            if self.started.elapsed() > PATIENCE {
                bail!("no answer for {host}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it in order.
    pub(super) fn end(self) -> anyhow::Result<()> {
        let Self { server, holding, .. } = self;
        drop(holding);
        server.map_or(Ok(()), Server::end)
    }

    /// Takes the one connection and the one place in the queue that there are.
    fn fill(&mut self) -> anyhow::Result<()> {
        for _ in 0..2 {
            let mut stream = TcpStream::connect(self.address)?;
            stream.write_all(b"GET / HTTP/1.1\r\nhost: origin\r\n\r\n")?;
            self.holding.push(stream);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while process::get(self.address, "origin", "/").is_ok_and(|(status, _)| status != 503) {
            ensure!(Instant::now() < deadline, "its limits are not reached");
        }
        Ok(())
    }
}

impl Job<'_> {
    /// Writes a file of its own and says where it is.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let file = self.folder.join(name);
        std::fs::write(&file, text)?;
        Ok(file.display().to_string())
    }

    const fn has_tls(&self) -> bool {
        matches!(self.setting.front, Front::Tls | Front::MutualTls)
    }

    fn is_http(&self) -> bool {
        self.setting.front != Front::Tcp
    }
}

impl Proxy {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fuseboard => "Fuseboard",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Envoy => "Envoy",
            Self::Direct => "no proxy",
        }
    }

    /// Whether its admin server has Envoy's page of statistics.
    pub(super) const fn has_stats_page(self) -> bool {
        matches!(self, Self::Fuseboard | Self::Envoy)
    }

    /// The words that ask a program which version it is.
    const fn version_flag(self) -> &'static str {
        match self {
            Self::Haproxy | Self::Nginx => "-v",
            _ => "--version",
        }
    }
}

impl Programs {
    /// Finds or fetches those that `rows` name.
    pub(super) fn find<'r>(
        rows: impl Iterator<Item = &'r Row>,
        fuseboard: PathBuf,
        skip_envoy: bool,
    ) -> Self {
        let mut found = BTreeMap::from([(Proxy::Fuseboard, Ok(fuseboard))]);
        for peer in rows.flat_map(|row| row.peers) {
            found.entry(peer.proxy).or_insert_with(|| {
                let program = match peer.proxy {
                    Proxy::Haproxy => peers::debian("haproxy", "haproxy"),
                    Proxy::Nginx => peers::debian("nginx", "nginx-light"),
                    Proxy::Envoy if skip_envoy => return Err("left out by --no-envoy".to_owned()),
                    Proxy::Envoy => peers::envoy(),
                    Proxy::Fuseboard | Proxy::Direct => return Ok(PathBuf::new()),
                };
                program.map_err(|missing| missing.to_string())
            });
        }
        Self(found)
    }

    pub(super) fn get(&self, proxy: Proxy) -> Result<&Path, String> {
        match self.0.get(&proxy) {
            Some(Ok(program)) => Ok(program),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(format!("{} was not looked for", proxy.name())),
        }
    }

    /// What each says of its version.
    pub(super) fn versions(&self) -> Vec<(&'static str, String)> {
        let there = self.0.iter().filter(|(proxy, _)| **proxy != Proxy::Direct);
        there
            .filter_map(|(proxy, program)| {
                let program = program.as_ref().ok()?;
                let said = process::first_line(program, &[proxy.version_flag()])?;
                // Envoy says where it lies.
                let said = said.replace(&program.display().to_string(), proxy.name());
                Some((proxy.name(), said))
            })
            .collect()
    }
}
