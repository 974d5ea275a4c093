//! Peers that speak gRPC with their own servers, straight and through the proxy: grpc-go, grpcio and tonic for every kind of call, its
//! end, deadline and metadata, grpcurl for reflection. What a caller is told must be the same, but where the proxy tries again or refuses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use fuseboard_admin::{AdminAddress, AdminClient};

use super::table::Table;
use super::{Workbench, http2};
use crate::peers;
use crate::process::{self, Server};

const GO: &str = include_str!("pair.go");
const PYTHON: &str = include_str!("pair.py");
const RUST: &str = include_str!("pair.rs");
const RUST_MANIFEST: &str = include_str!("pair.toml");

/// grpc-go of the version whose calls are made.
const GRPC_GO: &str = "google.golang.org/grpc v1.85.0";

/// The only case that must not be the same: the proxy tries such a call again, as by Istio's defaults.
const FLAKY: &str = "UNAVAILABLE the first time";

/// One call at a time, and one that waits.
const LIMITS: &str = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: talk}
spec:
  host: talk
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 1}
      http: {maxConcurrentStreams: 1, http1MaxPendingRequests: 1}
";

/// Questions of grpcurl, the address left out.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("", &["list"]),
    ("", &["describe", "grpc.health.v1.Health.Watch"]),
    ("{\"service\": \"ill\"}", &["grpc.health.v1.Health/Check"]),
    ("{\"service\": \"nobody\"}", &["grpc.health.v1.Health/Check"]),
    ("{}", &["grpc.health.v1.Health/Nothing"]),
];

pub(super) fn run(bench: &Workbench, table: &mut Table) -> anyhow::Result<()> {
    let folder = bench.scratch.join("grpc");
    std::fs::create_dir_all(&folder)?;
    match peers::go_program("grpc-go", GO, GRPC_GO, &folder) {
        Ok(program) => {
            let pair = Pair { name: "grpc-go", program, script: None };
            let server = pair.serve(&folder)?;
            compare_calls(bench, &folder, &pair, server.0, table)?;
            compare_limits(bench, &folder, &pair, server.0, table)?;
            grpcurl(bench, &folder, server.0, table)?;
        }
        Err(missing) => {
            table.skip("grpc-go", &missing);
            table.skip("grpcurl", format!("skipped: it asks the server of grpc-go ({missing})"));
        }
    }
    match peers::grpcio() {
        Ok(program) => {
            let script = folder.join("pair.py");
            std::fs::write(&script, PYTHON)?;
            let pair = Pair { name: "grpcio", program, script: Some(script) };
            let server = pair.serve(&folder)?;
            compare_calls(bench, &folder, &pair, server.0, table)?;
        }
        Err(missing) => table.skip("grpcio", missing),
    }
    match peers::cargo_program("tonic-pair", RUST_MANIFEST, RUST) {
        Ok(program) => {
            let pair = Pair { name: "tonic", program, script: None };
            let server = pair.serve(&folder)?;
            compare_calls(bench, &folder, &pair, server.0, table)?;
            compare_limits(bench, &folder, &pair, server.0, table)?;
        }
        Err(missing) => table.skip("tonic", missing),
    }
    Ok(())
}

/// A server and a client of one implementation, in one program.
struct Pair {
    name: &'static str,
    program: PathBuf,
    script: Option<PathBuf>,
}

impl Pair {
    fn serve(&self, folder: &Path) -> anyhow::Result<(SocketAddr, Server)> {
        let address = process::free_address()?;
        let script = self.script.iter().map(|script| script.display().to_string());
        let arguments: Vec<_> = script.chain(["serve".to_owned(), address.to_string()]).collect();
        let log = folder.join(format!("{}.out", self.name));
        let mut server = Server::start(self.name, None, &self.program, &arguments, &log)?;
        server.wait_for(address)?;
        Ok((address, server))
    }

    /// The cases and what came of each. The clients bound their own time.
    fn call(&self, arguments: &[&str]) -> anyhow::Result<Vec<(String, String)>> {
        let mut command = Command::new(&self.program);
        command.args(&self.script).args(arguments).env("NO_PROXY", "127.0.0.1").stdin(Stdio::null());
        let output = command.output()?;
        let complaint = || format!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), complaint());
        let text = String::from_utf8_lossy(&output.stdout);
        let case = |line: &str| line.split_once('\t').map(|(case, came)| (case.to_owned(), came.to_owned()));
        text.lines().map(case).collect::<Option<Vec<_>>>().with_context(complaint)
    }
}

/// A proxy before `origin`, with a rule or without.
struct Before {
    listen: SocketAddr,
    admin: AdminClient,
    _proxy: Server,
}

impl Before {
    fn start(
        bench: &Workbench,
        folder: &Path,
        origin: SocketAddr,
        rule: Option<&str>,
    ) -> anyhow::Result<Self> {
        let (listen, admin) = (process::free_address()?, process::free_address()?);
        let line = format!("run --listen {listen} --to grpc://{origin} --admin {admin} --concurrency 2");
        let mut arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if let Some(rule) = rule {
            let file = folder.join("rule.yaml");
            std::fs::write(&file, rule)?;
            arguments.extend(["-f".to_owned(), file.display().to_string()]);
        }
        let log = folder.join("fuseboard.out");
        let mut proxy = Server::start("fuseboard", None, &bench.fuseboard, &arguments, &log)?;
        proxy.wait_for(listen)?;
        proxy.wait_for(admin)?;
        Ok(Self { listen, admin: AdminClient::new(AdminAddress::Tcp(admin)), _proxy: proxy })
    }
}

fn compare_calls(
    bench: &Workbench,
    folder: &Path,
    pair: &Pair,
    origin: SocketAddr,
    table: &mut Table,
) -> anyhow::Result<()> {
    let before = Before::start(bench, folder, origin, None)?;
    // Ours first: every other call of the flaky method fails, and only the proxy makes two.
    let ours = pair.call(&["call", &before.listen.to_string()])?;
    let theirs = pair.call(&["call", &origin.to_string()])?;
    let cases = |all: &[(String, String)]| all.len();
    table.same(format!("{}: cases", pair.name), cases(&theirs), cases(&ours));
    for ((case, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        let what = format!("{}: {case}", pair.name);
        if case == FLAKY {
            let good = theirs.to_uppercase().starts_with("UNAVAILABLE") && ours.starts_with("OK");
            table.ours(what, theirs, ours, good, "Istio's default retries");
        } else {
            table.same(what, theirs, ours);
        }
    }
    let idle = http2::gauges_above_zero(&before.admin)?;
    table.same(format!("{}: gauges above 0 afterwards", pair.name), "none", idle);
    Ok(())
}

/// Who is refused is told so as an error of gRPC that names the limit.
fn compare_limits(
    bench: &Workbench,
    folder: &Path,
    pair: &Pair,
    origin: SocketAddr,
    table: &mut Table,
) -> anyhow::Result<()> {
    let before = Before::start(bench, folder, origin, Some(LIMITS))?;
    let results = pair.call(&["limits", &before.listen.to_string(), &origin.to_string()])?;
    let words = "\"upstream connect error or disconnect/reset before headers. reset reason: overflow\"";
    let refused = format!("Unavailable {words} [limit.queue_full]");
    let expected = ["OK \"\" []", "OK \"\" []", &refused, &refused];
    table.same(format!("{}: ends of calls under limits", pair.name), expected.len(), results.len());
    for ((case, ours), expected) in results.iter().zip(expected) {
        table.same(format!("{}: {case}", pair.name), expected, ours);
    }
    let text = before.admin.get("/stats?filter=upstream_rq_pending_overflow$")?.text();
    let overflow = text.lines().find_map(|line| line.rsplit_once(": ").map(|(_, value)| value.trim()));
    table.same(
        format!("{}: upstream_rq_pending_overflow", pair.name),
        2,
        overflow.unwrap_or("no such counter"),
    );
    Ok(())
}

fn grpcurl(bench: &Workbench, folder: &Path, origin: SocketAddr, table: &mut Table) -> anyhow::Result<()> {
    let program = match peers::grpcurl() {
        Ok(program) => program,
        Err(missing) => {
            table.skip("grpcurl", missing);
            return Ok(());
        }
    };
    let before = Before::start(bench, folder, origin, None)?;
    for (data, words) in QUESTIONS {
        let ask = |address: SocketAddr| -> anyhow::Result<String> {
            let mut command = Command::new(&program);
            command.args(["-plaintext", "-max-time", "20"]);
            if !data.is_empty() {
                command.args(["-d", data]);
            }
            let output = command.arg(address.to_string()).args(*words).stdin(Stdio::null()).output()?;
            let said = [&output.stdout[..], &output.stderr].concat();
            let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
            Ok(format!("{} {said}", output.status.code().unwrap_or(-1)))
        };
        table.same(format!("grpcurl {data} {}", words.join(" ")), ask(origin)?, ask(before.listen)?);
    }
    Ok(())
}
