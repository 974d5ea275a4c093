//! Peers that speak HTTP/2 and TLS against the proxy before httpbin: h2spec's whole run, curl by each version, nghttp and h2load
//! with the proxy's own counters beside theirs, and the floor of TLS as openssl finds it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fuseboard_admin::{AdminAddress, AdminClient};
use fuseboard_testkit::tls::Authority;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Workbench;
use super::table::Table;
use crate::peers;
use crate::process::{self, Server};

/// What h2spec asks for: most of its tests send a wrong frame behind a request, and judge what comes of it. An answer that is there
/// before that frame ends the stream, on which nothing is wrong any more.
const H2SPEC_PATH: &str = "/delay/0.05";

/// Tests of h2spec's whole run.
const H2SPEC_TESTS: usize = 145;
/// The port speaks HTTP/1.1 too, so what is no preface is a bad request there, and is told so in words.
const H2SPEC_ALLOWED: &str = "http2/3.5: Sends invalid connection preface";

const H2LOAD_REQUESTS: u64 = 2_000;

/// What curl gets, by each version, through the proxy and from httpbin itself.
const PATHS: &[&str] =
    &["/html", "/status/418", "/status/204", "/bytes/100000?seed=7", "/stream-bytes/50000?seed=7"];

/// Larger than the window that a stream begins with.
const UPLOAD: usize = 200_000;

/// The proxy with a plain port and one with TLS, before httpbin.
struct Bench {
    origin: SocketAddr,
    plain: SocketAddr,
    secure: SocketAddr,
    admin: AdminClient,
    folder: PathBuf,
    authority: String,
    _running: Vec<Server>,
}

pub(super) fn run(bench: &Workbench, table: &mut Table) -> anyhow::Result<()> {
    let bench = Bench::start(bench)?;
    bench.h2spec(table)?;
    bench.curl(table)?;
    bench.nghttp(table)?;
    bench.h2load(table)?;
    bench.openssl(table)
}

impl Bench {
    fn start(bench: &Workbench) -> anyhow::Result<Self> {
        let folder = bench.scratch.join("http2");
        std::fs::create_dir_all(&folder)?;
        let file = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = folder.join(name);
            std::fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let authority = Authority::new("interop");
        let pair = authority.issue(&["localhost"]);
        let ca = file("ca.pem", authority.pem())?;
        let (cert, key) = (file("server.pem", &pair.certificate)?, file("server.key", &pair.key)?);
        let (origin, plain, secure, admin) = (
            process::free_address()?,
            process::free_address()?,
            process::free_address()?,
            process::free_address()?,
        );
        let start = |name: &'static str, arguments: &[String], port: SocketAddr| -> anyhow::Result<Server> {
            let log = folder.join(format!("{name}.out"));
            let mut server = Server::start(name, None, &bench.fuseboard, arguments, &log)?;
            server.wait_for(port)?;
            Ok(server)
        };
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let httpbin = start("httpbin", &words(&format!("httpbin --listen {origin}")), origin)?;
        let line = format!(
            "run --listen {plain} --listen https://{secure} --to {origin} --admin {admin} --concurrency 2"
        );
        let mut arguments = words(&line);
        arguments.extend(["--tls-cert", &cert, "--tls-key", &key].map(str::to_owned));
        let proxy = start("fuseboard", &arguments, secure)?;
        let admin = AdminClient::new(AdminAddress::Tcp(admin));
        Ok(Self { origin, plain, secure, admin, folder, authority: ca, _running: vec![proxy, httpbin] })
    }

    fn h2spec(&self, table: &mut Table) -> anyhow::Result<()> {
        let program = match peers::h2spec() {
            Ok(program) => program,
            Err(missing) => {
                table.skip("h2spec", missing);
                return Ok(());
            }
        };
        let report = self.folder.join("h2spec.xml");
        let said = Command::new(program)
            .args(["-h", "127.0.0.1", "-p", &self.plain.port().to_string(), "-P", H2SPEC_PATH, "-j"])
            .arg(&report)
            .stdin(Stdio::null())
            .output()?;
        // It exits 1 when a test failed; what counts is in the report.
        let text = std::fs::read_to_string(&report)
            .with_context(|| format!("h2spec: {}", String::from_utf8_lossy(&said.stderr)))?;
        let (tests, failed) = tests(&text);
        table.same("h2spec: tests", H2SPEC_TESTS, tests);
        let failed = failed.join("; ");
        let good = failed == H2SPEC_ALLOWED;
        table.ours("h2spec: tests that fail", "-", failed, good, "a port for both versions answers 400");
        Ok(())
    }

    fn curl(&self, table: &mut Table) -> anyhow::Result<()> {
        let Some(curl) = peers::on_path("curl") else {
            table.skip("curl", "skipped: curl (not installed)");
            return Ok(());
        };
        let (plain, secure) =
            (format!("http://{}", self.plain), format!("https://localhost:{}", self.secure.port()));
        let trusting = ["--cacert", &self.authority];
        let upload = self.folder.join("upload.txt");
        let sent = "0123456789".repeat(UPLOAD / 10);
        std::fs::write(&upload, &sent)?;
        let data = format!("@{}", upload.display());
        for (flag, base, version) in [
            ("--http2-prior-knowledge", &plain, "2"),
            ("--http1.1", &plain, "1.1"),
            // By an `Upgrade`, without a body.
            ("--http2", &plain, "2"),
            ("--http2", &secure, "2"),
            ("--http1.1", &secure, "1.1"),
        ] {
            let scheme = base.split(':').next().unwrap_or_default();
            for path in PATHS {
                let direct = fetch(&curl, &[], &format!("http://{}{path}", self.origin))?;
                let flags = [&[flag][..], &trusting].concat();
                let ours = fetch(&curl, &flags, &format!("{base}{path}"))?;
                let told = |got: &Fetched, version: &str| {
                    format!("{} {} {} bytes {}", got.status, version, got.body.len(), digest(&got.body))
                };
                let what = format!("curl {flag} {scheme} {path}");
                table.same(what, told(&direct, version), told(&ours, &ours.version));
            }
            let version = if (flag, base) == ("--http2", &plain) { "1.1" } else { version };
            let flags = [&[flag, "--data-binary", &data, "-H", "content-type: text/plain"][..], &trusting];
            let ours = fetch(&curl, &flags.concat(), &format!("{base}/post"))?;
            let echoed: Value = serde_json::from_slice(&ours.body).unwrap_or_default();
            let whole = echoed["data"].as_str() == Some(&sent);
            table.same(
                format!("curl {flag} {scheme} /post of {UPLOAD} bytes"),
                format!("200 {version} whole: true"),
                format!("{} {} whole: {whole}", ours.status, ours.version),
            );
        }
        Ok(())
    }

    fn nghttp(&self, table: &mut Table) -> anyhow::Result<()> {
        let program = match peers::debian("nghttp", "nghttp2-client") {
            Ok(program) => program,
            Err(missing) => {
                table.skip("nghttp", missing);
                return Ok(());
            }
        };
        let secure = format!("https://localhost:{}", self.secure.port());
        let plain = format!("http://{}", self.plain);
        for (what, base, upgrade) in
            [("http", &plain, None), ("-u http", &plain, Some("-u")), ("https", &secure, None)]
        {
            let arguments = ["-n", "-v", "-t", "10", "-m", "5"];
            let url = format!("{base}/html");
            let output = said(Command::new(&program).args(arguments).args(upgrade).arg(url))?;
            let count = output.matches(":status: 200").count();
            table.same(format!("nghttp -m 5 {what}: answers 200"), 5, count);
        }
        Ok(())
    }

    fn h2load(&self, table: &mut Table) -> anyhow::Result<()> {
        let program = match peers::debian("h2load", "nghttp2-client") {
            Ok(program) => program,
            Err(missing) => {
                table.skip("h2load", missing);
                return Ok(());
            }
        };
        for (what, base) in [
            ("http", format!("http://{}", self.plain)),
            ("https", format!("https://localhost:{}", self.secure.port())),
        ] {
            let before = self.requests()?;
            let count = H2LOAD_REQUESTS.to_string();
            let arguments = ["-n", &count, "-c", "4", "-m", "16"];
            let output = said(Command::new(&program).args(arguments).arg(format!("{base}/html")))?;
            let line = |start: &str| {
                let line = output.lines().find(|line| line.starts_with(start)).unwrap_or("no such line");
                line.split_once(": ").map_or(line, |(_, rest)| rest).to_owned()
            };
            let what = format!("h2load -n {count} -c 4 -m 16 {what}");
            let codes = format!("{count} 2xx, 0 3xx, 0 4xx, 0 5xx");
            table.same(format!("{what}: status codes"), codes, line("status codes"));
            let grown = self.requests()? - before;
            table.same(format!("{what}: downstream_rq_http2_total"), H2LOAD_REQUESTS, grown);
            table.same(format!("{what}: gauges above 0 afterwards"), "none", gauges_above_zero(&self.admin)?);
        }
        Ok(())
    }

    /// `downstream_rq_http2_total` of all listeners.
    fn requests(&self) -> anyhow::Result<u64> {
        let text = self.admin.get("/stats?filter=^http.*downstream_rq_http2_total$")?.text();
        let values = text.lines().filter_map(|line| line.split_once(": ")?.1.trim().parse::<u64>().ok());
        let values: Vec<u64> = values.collect();
        ensure!(!values.is_empty(), "no downstream_rq_http2_total in {text:?}");
        Ok(values.iter().sum())
    }

    fn openssl(&self, table: &mut Table) -> anyhow::Result<()> {
        let Some(openssl) = peers::on_path("openssl") else {
            table.skip("openssl s_client", "skipped: openssl (not installed)");
            return Ok(());
        };
        // Without the security level openssl itself would not offer 1.1, and nothing would be refused.
        let old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
        for (what, flags, expected) in [
            ("-tls1_1", &old[..], "refused by an alert"),
            ("-tls1_2", &["-tls1_2"], "TLSv1.2, Verification: OK"),
            ("-tls1_3", &["-tls1_3"], "TLSv1.3, Verification: OK"),
            ("-alpn h2", &["-alpn", "h2"], "TLSv1.3, Verification: OK, ALPN protocol: h2"),
            ("-alpn h2,http/1.1", &["-alpn", "h2,http/1.1"], "TLSv1.3, Verification: OK, ALPN protocol: h2"),
            ("-alpn http/1.1", &["-alpn", "http/1.1"], "TLSv1.3, Verification: OK, ALPN protocol: http/1.1"),
        ] {
            let output = said(
                Command::new(&openssl)
                    .args(["s_client", "-connect", &self.secure.to_string(), "-servername", "localhost"])
                    .args(["-CAfile", &self.authority])
                    .args(flags),
            )?;
            table.same(format!("openssl s_client {what}"), expected, shaken(&output));
        }
        Ok(())
    }
}

/// Gauges of what runs or waits, once what ended has been seen to end. Idle connections to the host stay, as they should.
pub(super) fn gauges_above_zero(admin: &AdminClient) -> anyhow::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text = admin.get("/stats?type=Gauges&filter=_active$")?.text();
        let found = active(&text);
        ensure!(text.contains("downstream_cx_http2_active: "), "no gauges in {text:?}");
        if found.is_empty() {
            return Ok("none".to_owned());
        }
        if Instant::now() > deadline {
            return Ok(found.join(" "));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Fetched {
    status: String,
    version: String,
    body: Vec<u8>,
}

fn fetch(curl: &Path, flags: &[&str], url: &str) -> anyhow::Result<Fetched> {
    let output = Command::new(curl)
        .args(["-sS", "--ipv4", "--max-time", "20", "-w", "\n%{http_code} %{http_version}"])
        .args(flags)
        .arg(url)
        .stdin(Stdio::null())
        .output()?;
    let complaint = || format!("curl {url}: {}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), complaint());
    let end = output.stdout.iter().rposition(|byte| *byte == b'\n').with_context(complaint)?;
    let last = String::from_utf8_lossy(&output.stdout[end + 1..]).into_owned();
    let (status, version) = last.split_once(' ').with_context(complaint)?;
    Ok(Fetched {
        status: status.to_owned(),
        version: version.to_owned(),
        body: output.stdout[..end].to_vec(),
    })
}

/// A few letters that tell one body from another.
fn digest(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.first_chunk().map_or_else(String::new, |start| format!("{:08x}", u32::from_be_bytes(*start)))
}

/// Both outputs of a command that reads nothing.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    Ok(format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// The number of tests in h2spec's report, and those that did not pass.
fn tests(report: &str) -> (usize, Vec<String>) {
    let value = |case: &str, name: &str| {
        let (_, rest) = case.split_once(&format!(" {name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let cases: Vec<&str> = report.split("<testcase").skip(1).collect();
    let failed = cases
        .iter()
        .filter(|case| ["<failure", "<error", "<skipped"].iter().any(|mark| case.contains(mark)))
        .map(|case| {
            let part = |name| value(case, name).unwrap_or_default();
            format!("{}: {}", part("package"), part("classname"))
        });
    (cases.len(), failed.collect())
}

/// The gauges of what runs or waits that are not 0.
fn active(stats: &str) -> Vec<&str> {
    let of_traffic = |name: &str| {
        name.starts_with("http.") && !name.starts_with("http.admin.")
            || name.ends_with(".upstream_rq_active")
            || name.ends_with(".upstream_rq_pending_active")
    };
    let above = |line: &&str| {
        line.split_once(": ").is_some_and(|(name, value)| of_traffic(name) && value.trim() != "0")
    };
    stats.lines().filter(above).collect()
}

/// What a handshake came to, in openssl's words.
fn shaken(output: &str) -> String {
    // Only the other side's alert counts: what openssl itself does not want to say would prove nothing.
    if output.contains("SSL alert number") {
        return "refused by an alert".to_owned();
    }
    let version = output.lines().find_map(|line| line.strip_prefix("New, ")?.split(',').next());
    let line = |start: &str| output.lines().find(|line| line.starts_with(start));
    let told = [version, line("Verification: "), line("ALPN protocol: ")];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_for_what_did_not_pass() {
        let report = "<testsuites><testsuite><testcase package=\"http2/3.5\" classname=\"Good\" time=\"1\">\
            </testcase><testcase package=\"http2/3.5\" classname=\"Bad\" time=\"1\"><failure>x</failure>\
            </testcase></testsuite></testsuites>";
        assert_eq!(tests(report), (2, vec!["http2/3.5: Bad".to_owned()]));
    }

    #[test]
    fn gauges_of_traffic_count_and_idle_connections_do_not() {
        let stats = "http.a.downstream_rq_active: 0\nhttp.a.downstream_cx_active: 2\nhttp.admin.downstream_cx_active: 1\n\
            cluster.a.upstream_cx_active: 3\ncluster.a.upstream_rq_pending_active: 1\n";
        assert_eq!(
            active(stats),
            ["http.a.downstream_cx_active: 2", "cluster.a.upstream_rq_pending_active: 1"]
        );
    }
}
