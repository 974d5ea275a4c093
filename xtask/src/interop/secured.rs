//! Our loader beside the real fortio against a real fortio server, with TLS, HTTP/2 and gRPC: the same lines, the same counts,
//! the same keys of results, and the same words where a handshake fails.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fuseboard_testkit::tls::Authority;
use serde_json::Value;

use super::table::Table;
use super::{Workbench, loader, results};
use crate::process::{self, Server};

/// Where calls go, of the servers below.
#[derive(Clone, Copy)]
enum To {
    Http,
    Https,
    Grpc,
    SecureGrpc,
}

/// Calls whose outputs are compared; `CA` stands for the authority's file.
const CALLS: &[(To, &str, &str)] = &[
    (To::Https, "-c 2 -qps 0 -n 20 -cacert CA", "/?size=100"),
    (To::Https, "-c 2 -qps 0 -n 10 -k -keepalive=false", "/"),
    (To::Https, "-c 1 -qps 0 -n 6 -cacert CA -connection-reuse 2:2", "/"),
    (To::Https, "-c 1 -qps 0 -n 4 -cacert CA -stdclient", "/?status=503"),
    (To::Http, "-h2 -c 2 -qps 0 -n 20", "/?size=100"),
    (To::Http, "-h2 -c 1 -qps 0 -n 4", "/?status=503"),
    (To::Http, "-h2 -c 1 -qps 20 -n 6 -payload-size 1000", "/"),
    (To::Https, "-h2 -c 2 -qps 0 -n 20 -cacert CA", "/?size=100"),
    (To::Grpc, "-grpc -c 2 -qps 0 -n 20", ""),
    (To::Grpc, "-grpc -c 2 -s 2 -qps 0 -n 20 -ping -payload abc -grpc-ping-delay 1ms", ""),
    (To::Grpc, "-grpc -c 1 -qps 20 -n 6 -quiet", ""),
    (To::Grpc, "-grpc -c 1 -qps 0 -n 4 -healthservice ping_down", ""),
    (To::Grpc, "-grpc -c 1 -qps 0 -n 4 -healthservice nobody", ""),
    (To::SecureGrpc, "-grpc -c 2 -qps 0 -n 20 -cacert CA", ""),
];

/// Calls that fail, and whose words are compared.
const FAILURES: &[(&str, &str)] = &[
    ("an authority that nobody trusts", "https://localhost:SECURE/"),
    ("a certificate for another name", "-cacert CA https://127.0.0.1:SECURE/"),
    ("a server that wants a certificate", "-cacert CA https://localhost:ASKING/"),
    ("a server without TLS", "-k https://localhost:PLAIN/"),
];

struct Servers {
    plain: SocketAddr,
    secure: SocketAddr,
    asking: SocketAddr,
    grpc: SocketAddr,
    secure_grpc: SocketAddr,
    authority: PathBuf,
    _running: Vec<Server>,
}

impl Servers {
    fn start(fortio: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let folder = scratch.join("secured");
        fs::create_dir_all(&folder)?;
        let file = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let authority = Authority::new("interop");
        let pair = authority.issue(&["localhost"]);
        let ca = file("ca.pem", authority.pem())?;
        let (cert, key) = (file("server.pem", &pair.certificate)?, file("server.key", &pair.key)?);
        let mut running = Vec::new();
        let mut server = |flags: &[&str]| -> anyhow::Result<(SocketAddr, SocketAddr)> {
            let (http, grpc) = (process::free_address()?, process::free_address()?);
            let (http_port, grpc_port) = (http.to_string(), grpc.to_string());
            let own = ["server", "-http-port", &http_port, "-grpc-port", &grpc_port];
            let off =
                ["-tcp-port", "-udp-port", "-redirect-port"].into_iter().flat_map(|flag| [flag, "disabled"]);
            let arguments = own.into_iter().chain(off).chain(flags.iter().copied()).map(str::to_owned);
            let log = folder.join(format!("fortio-{}.out", running.len()));
            let mut started = Server::start("fortio", None, fortio, &arguments.collect::<Vec<_>>(), &log)?;
            started.wait_for(http)?;
            started.wait_for(grpc)?;
            running.push(started);
            Ok((http, grpc))
        };
        let (plain, grpc) = server(&[])?;
        let shown = ["-cert", &cert, "-key", &key];
        let (secure, secure_grpc) = server(&shown)?;
        let (asking, _) = server(&[&shown[..], &["-cacert", &ca, "-mtls"]].concat())?;
        let authority = PathBuf::from(ca);
        Ok(Self { plain, secure, asking, grpc, secure_grpc, authority, _running: running })
    }

    fn url(&self, to: To, path: &str) -> String {
        match to {
            To::Http => format!("http://localhost:{}{path}", self.plain.port()),
            To::Https => format!("https://localhost:{}{path}", self.secure.port()),
            To::Grpc => format!("localhost:{}", self.grpc.port()),
            To::SecureGrpc => format!("localhost:{}", self.secure_grpc.port()),
        }
    }
}

pub(super) fn compare(
    bench: &Workbench,
    fortio: &Path,
    ours: &Path,
    table: &mut Table,
) -> anyhow::Result<()> {
    let servers = Servers::start(fortio, &bench.scratch)?;
    let authority = servers.authority.display().to_string();
    let folder = bench.scratch.join("secured");
    for (to, flags, path) in CALLS {
        let (url, shown) = (servers.url(*to, path), format!("fortio load {flags} {path}"));
        let flags = flags.replace("CA", &authority);
        loader::compare_lines(fortio, ours, &flags, &url, &shown, table)?;
        if matches!(to, To::Grpc) && !flags.contains("-quiet") {
            let document = |program: &Path| results::document(program, &flags, &url, &folder);
            let (theirs, our) = (document(fortio)?, document(ours)?);
            let (what, kinds) = (format!("{shown} -json: "), results::kinds);
            table.same(format!("{what}keys and kinds of values"), kinds(&theirs, &our), kinds(&our, &theirs));
            table.same(format!("{what}what was asked"), results::asked(&theirs), results::asked(&our));
        }
    }
    for (what, words) in FAILURES {
        let words = words
            .replace("CA", &authority)
            .replace("SECURE", &servers.secure.port().to_string())
            .replace("ASKING", &servers.asking.port().to_string())
            .replace("PLAIN", &servers.plain.port().to_string());
        let said = |program: &Path| complaint(program, &words);
        table.same(format!("fortio load of {what}: its words"), said(fortio)?, said(ours)?);
    }
    Ok(())
}

/// The error of the only call.
fn complaint(program: &Path, words: &str) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(["load", "-c", "1", "-n", "1", "-qps", "0"])
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let errors: Vec<Value> = lines.map(|line| line["err"].clone()).filter(Value::is_string).collect();
    Ok(errors.first().map_or_else(|| "nothing".to_owned(), Value::to_string))
}
