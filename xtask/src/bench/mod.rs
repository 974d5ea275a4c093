//! `cargo xtask bench`: CPU per request of Fuseboard beside HAProxy (and Envoy, where it can be had) in one run.
//!
//! Load and origin share one core, the proxy under test has the other; contenders take turns over several rounds, and
//! ratios of the same round are compared, because absolute times on a shared machine mean nothing.

mod contender;
mod counts;
mod loader;
mod report;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use crate::peers;
use crate::process::{self, Server};
use crate::repository;
use contender::{Contender, Running};
use report::{Report, Round};

const LOAD_CORE: usize = 0;
const PROXY_CORE: usize = 1;

/// Measure CPU per request beside HAProxy and Envoy; prints ratios
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag, independent of the others")]
pub(crate) struct Arguments {
    /// Fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Seconds of load per contender, row and round
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Rounds; ratios are medians over them
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Measure the loader beside wrk instead of the proxy
    #[arg(long)]
    loader: bool,
    /// Count instructions and system calls per request instead of measuring time
    #[arg(long, conflicts_with = "loader")]
    instructions: bool,
    /// With --instructions: fail where a request costs more than docs/benchmarks.md states
    #[arg(long, requires = "instructions")]
    check: bool,
    /// Leave Envoy out
    #[arg(long)]
    no_envoy: bool,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Write the result to docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

impl Arguments {
    /// What is measured.
    fn fuseboard(&self) -> anyhow::Result<PathBuf> {
        self.binary.as_ref().map_or_else(repository::build, |path| Ok(path.canonicalize()?))
    }
}

/// What every measurement of a run shares.
struct Bench {
    wrk: PathBuf,
    scratch: PathBuf,
    seconds: u64,
    origin: SocketAddr,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.instructions {
        return counts::run(arguments);
    }
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 3 } else { 7 });
    let seconds = arguments.seconds.unwrap_or(if arguments.quick { 3 } else { 6 });
    let found = peers::debian("wrk", "wrk").and_then(|wrk| Ok((wrk, peers::debian("nginx", "nginx-light")?)));
    let (wrk, nginx) = match found {
        Ok(found) => found,
        Err(missing) => {
            note(&format!("bench {missing}"));
            return Ok(());
        }
    };
    let scratch = repository::root().join("target/bench");
    std::fs::create_dir_all(&scratch)?;
    let origin = SocketAddr::from((Ipv4Addr::LOCALHOST, process::free_port()?));
    let _origin = start_origin(&nginx, origin, &scratch)?;
    let bench = Bench { wrk, scratch, seconds, origin };
    if arguments.loader {
        return loader::run(&bench, rounds);
    }
    let haproxy = match peers::debian("haproxy", "haproxy") {
        Ok(haproxy) => haproxy,
        Err(missing) => {
            note(&format!("bench {missing}"));
            return Ok(());
        }
    };
    let mut contenders = vec![Contender::HAProxy(haproxy), Contender::Fuseboard(arguments.fuseboard()?)];
    if !arguments.no_envoy {
        match peers::envoy() {
            Ok(envoy) => contenders.push(Contender::Envoy(envoy)),
            Err(missing) => note(&missing.to_string()),
        }
    }
    let report = bench.measure(&contenders, rounds)?;
    note(&report.table());
    std::fs::write(bench.scratch.join("bench.json"), format!("{:#}\n", report.json()))?;
    if arguments.write {
        let page = repository::root().join("docs/benchmarks.md");
        let before = std::fs::read_to_string(&page).unwrap_or_default();
        std::fs::write(&page, report.markdown() + counts::sections_of(&before))?;
    }
    Ok(())
}

impl Bench {
    fn measure(&self, contenders: &[Contender], rounds: usize) -> anyhow::Result<Report> {
        let mut report = Report::new(self.seconds);
        for contender in contenders {
            let (_, ready) = contender.start(self, None)?;
            report.ready(contender.name(), ready);
        }
        for connections in [1, 64, 512] {
            for turn in 0..rounds {
                for contender in contenders {
                    let (running, _) = contender.start(self, Some(PROXY_CORE))?;
                    let idle = running.server.resident_kib()?;
                    let measured = self.load(&running, connections)?;
                    report.add(contender.name(), Round { connections, turn, idle_kib: idle, ..measured });
                    note(&format!(
                        "c={connections} round {}/{rounds} {:<10} {:.1} us CPU per request",
                        turn + 1,
                        contender.name(),
                        measured.cpu_us
                    ));
                }
            }
        }
        Ok(report)
    }

    /// One measured run of wrk, after a short one that warms pools and caches.
    fn load(&self, running: &Running, connections: usize) -> anyhow::Result<Round> {
        self.wrk(running.address, connections, 1)?;
        let before = running.server.cpu()?;
        let requests = self.wrk(running.address, connections, self.seconds)?;
        let used = running.server.cpu()?.saturating_sub(before);
        Ok(Round {
            cpu_us: used.as_secs_f64() * 1e6 / requests as f64,
            rate: requests as f64 / Duration::from_secs(self.seconds).as_secs_f64(),
            loaded_kib: running.server.resident_kib()?,
            ..Round::default()
        })
    }

    /// Requests answered; an error of any kind ends the bench, because then the work was not the same.
    fn wrk(&self, address: SocketAddr, connections: usize, seconds: u64) -> anyhow::Result<u64> {
        self.wrk_on(LOAD_CORE, address, connections, seconds)
    }

    fn wrk_on(
        &self,
        core: usize,
        address: SocketAddr,
        connections: usize,
        seconds: u64,
    ) -> anyhow::Result<u64> {
        let output = process::pinned(Some(core), &self.wrk)
            .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")])
            .arg(format!("http://{address}/"))
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk failed: {text}");
        ensure!(!text.contains("Non-2xx"), "not every request was answered 200: {text}");
        let line =
            text.lines().find(|line| line.contains(" requests in ")).context("wrk printed no count")?;
        Ok(line.split_whitespace().next().context("no count")?.parse()?)
    }
}

/// Without a master: a worker would outlive the one that is ended here.
fn start_origin(nginx: &Path, address: SocketAddr, scratch: &Path) -> anyhow::Result<Server> {
    let file = scratch.join("nginx.conf");
    let folder = scratch.display();
    let text = format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;\n\
         server {{ listen {address} backlog=4096; location / {{ default_type text/plain; return 200 'hello\\n'; }} }} }}\n"
    );
    std::fs::write(&file, text)?;
    let arguments = ["-c".into(), file.display().to_string(), "-p".into(), folder.to_string()];
    let mut server = Server::start("nginx", Some(LOAD_CORE), nginx, &arguments, &scratch.join("nginx.out"))?;
    server.wait_for(address)?;
    Ok(server)
}

#[expect(clippy::print_stdout, reason = "progress and result are this tool's output")]
fn note(line: &str) {
    println!("{line}");
}
