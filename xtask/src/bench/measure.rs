//! One measurement: what a contender's process used while it did a row's work.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::certificates::name_of_cluster;
use super::contender::{Contender, Running};
use super::load::{Call, Latency, Wrk};
use super::row::{Front, Metric, Row, Work};
use super::{Bench, LOAD_CORE, idle, tcp};
use crate::process::{self, Server};

/// Connections of the requests to one of many clusters.
const CLUSTER_CALLERS: usize = 64;

pub(super) type Sample = BTreeMap<Metric, f64>;

impl Bench {
    /// What it used for the work of a row.
    pub(super) fn under_load(
        &self,
        row: &Row,
        contender: Contender,
        running: &Running,
    ) -> anyhow::Result<Sample> {
        let before = running.server.as_ref().map(Server::usage).transpose()?;
        let began = Instant::now();
        let (units, latency) = self.load(row, contender, running, self.seconds)?;
        let took = began.elapsed();
        ensure!(units > 0.0, "nothing was done");
        let mut sample = Sample::from([(Metric::Rate, units / took.as_secs_f64())]);
        if let (Some(server), Some(before)) = (&running.server, before) {
            let after = server.usage()?;
            let cpu = after.cpu.saturating_sub(before.cpu);
            sample.insert(Metric::Cpu, cpu.as_secs_f64() * 1e6 / units);
            sample.insert(Metric::Switches, after.switches.saturating_sub(before.switches) as f64 / units);
            sample.insert(Metric::Memory, megabytes(server)?);
        }
        if matches!(row.work, Work::Rate { .. }) {
            let Latency { p50, p99, p999 } = latency;
            sample.extend([(Metric::P50, p50), (Metric::P99, p99), (Metric::P999, p999)]);
        }
        Ok(sample)
    }

    /// System calls for each unit of the work, in a run of its own: to count them costs time.
    pub(super) fn system_calls(
        &self,
        row: &Row,
        contender: Contender,
        running: &Running,
    ) -> anyhow::Result<Sample> {
        let (Some(perf), Some(server)) = (&self.perf, &running.server) else { return Ok(Sample::new()) };
        let result = self.scratch.join("perf.out");
        let counting = Counting::start(perf, server.id(), &result)?;
        let (units, _) = self.load(row, contender, running, 1)?;
        let calls = counting.end()?;
        Ok(calls.map(|calls| (Metric::SystemCalls, calls / units)).into_iter().collect())
    }

    /// The work of a row for so many seconds: how many units were done, and what was waited for each.
    pub(super) fn load(
        &self,
        row: &Row,
        contender: Contender,
        running: &Running,
        seconds: u64,
    ) -> anyhow::Result<(f64, Latency)> {
        let (address, front) = (running.address, row.setting.front);
        let time = Duration::from_secs(seconds);
        let units = match row.work {
            Work::Wrk { connections, path, post } => {
                let scheme = if front == Front::Tls { "https" } else { "http" };
                let url = format!("{scheme}://{address}{path}");
                let refused = contender.variant.refuses();
                let wrk = Wrk { url, host: None, connections, post, refused };
                self.tools.wrk(&wrk, LOAD_CORE, seconds)?
            }
            Work::H2load { clients, streams } => {
                self.tools.h2load(&format!("http://{address}/"), clients, streams, seconds)?
            }
            Work::Load { flags } => return self.call(row, running, flags, seconds),
            Work::Rate { per_second } => {
                return self.call(row, running, &format!("-open -c 256 -qps {per_second}"), seconds);
            }
            Work::Bulk { connections } => tcp::bulk(address, connections, time)?,
            Work::Short { connections } => tcp::short(address, connections, time)?,
            Work::Clusters => {
                let host = name_of_cluster(row.setting.clusters / 2);
                let url = format!("http://{address}/");
                let wrk =
                    Wrk { url, host: Some(&host), connections: CLUSTER_CALLERS, post: 0, refused: false };
                self.tools.wrk(&wrk, LOAD_CORE, seconds)?
            }
            Work::Start | Work::Idle { .. } => 0.0,
        };
        Ok((units, Latency::default()))
    }

    fn call(
        &self,
        row: &Row,
        running: &Running,
        flags: &str,
        seconds: u64,
    ) -> anyhow::Result<(f64, Latency)> {
        let (address, front) = (running.address, row.setting.front);
        self.tools.load(&Call { address, front, certificates: &self.certificates }, flags, seconds)
    }

    /// From exec to the first answer, and the memory then.
    pub(super) fn start(&self, row: &Row, contender: Contender) -> anyhow::Result<(Running, Sample)> {
        let running = contender.start(self, row)?;
        // The last one that was read, which nothing else is done for.
        let host = match row.setting.clusters {
            1 => "origin".to_owned(),
            count => name_of_cluster(count - 1),
        };
        let ready = running.ready(&host)?;
        let server = running.server.as_ref().context("nothing was started")?;
        let ready = ready.as_secs_f64() * 1e3;
        let sample = Sample::from([(Metric::Ready, ready), (Metric::Memory, megabytes(server)?)]);
        Ok((running, sample))
    }

    /// The start with many clusters, their statistics, and what a request to one of them costs.
    pub(super) fn clusters(&self, row: &Row, contender: Contender) -> anyhow::Result<Sample> {
        let (running, mut sample) = self.start(row, contender)?;
        if contender.proxy.has_stats_page() {
            let began = Instant::now();
            let (status, page) = process::get(running.admin, "localhost", "/stats")?;
            ensure!(status == 200, "/stats answered {status}");
            sample.insert(Metric::StatsPage, began.elapsed().as_secs_f64() * 1e3);
            sample.insert(Metric::StatsLength, page.len() as f64 / 1e3);
        }
        self.load(row, contender, &running, 1)?;
        let memory = sample.get(&Metric::Memory).copied();
        sample.extend(self.under_load(row, contender, &running)?);
        // Before the load: what the clusters cost, and not what the callers do.
        sample.extend(memory.map(|memory| (Metric::Memory, memory)));
        Ok(sample)
    }

    /// The memory that silent connections leave in use.
    pub(super) fn idle(&self, row: &Row, contender: Contender, wanted: usize) -> anyhow::Result<Sample> {
        let front = row.setting.front;
        let running = contender.start(self, row)?;
        let connections = idle::affordable(front, wanted);
        let held = idle::connect(running.address, front, &self.certificates.trusting, connections)?;
        let server = running.server.as_ref().context("nothing was started")?;
        let memory = megabytes(server)?;
        drop(held);
        Ok(Sample::from([(Metric::Memory, memory), (Metric::Connections, connections as f64)]))
    }
}

fn megabytes(server: &Server) -> anyhow::Result<f64> {
    Ok(server.resident_kib()? as f64 / 1024.0)
}

/// perf, which counts the system calls of a process.
struct Counting<'a> {
    perf: Child,
    result: &'a Path,
}

impl<'a> Counting<'a> {
    fn start(perf: &Path, process: u32, result: &'a Path) -> anyhow::Result<Self> {
        let perf = Command::new(perf)
            .args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &process.to_string(), "-o"])
            .arg(result)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // It says nothing when it has begun.
        std::thread::sleep(Duration::from_millis(100));
        Ok(Self { perf, result })
    }

    /// How many there were; none where perf may not count them.
    fn end(mut self) -> anyhow::Result<Option<f64>> {
        let process = rustix::process::Pid::from_child(&self.perf);
        let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
        self.perf.wait()?;
        let text = std::fs::read_to_string(self.result).unwrap_or_default();
        let line = text.lines().find(|line| line.contains("sys_enter"));
        Ok(line.and_then(|line| line.split(',').next()?.parse().ok()))
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let _ = self.perf.kill();
        let _ = self.perf.wait();
    }
}
