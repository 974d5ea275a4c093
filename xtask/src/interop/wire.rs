//! What fortio and ours write to the wire for the same flags, byte for byte, and how both end for the same arguments.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::table::Table;

/// Flags of `curl`, one argument a word; the URL comes behind them.
const REQUESTS: &[&[&str]] = &[
    &[],
    &["-H", "X-B: z", "-H", "a:  b ", "-H", "x-b: 2", "-user", "u:p", "-payload", "abc"],
    &["-H", "content-type: foo/bar"],
    &["-content-type", "a/b", "-H", "content-type: q", "-payload", "abc"],
    &["-H", "User-Agent: me"],
    &["-H", "User-Agent: "],
    &["-H", "User-Agent:"],
    &["-H", "Host: foo"],
    &["-H", "User-Agent:", "-H", "Host: foo", "-http1.0"],
    &["-keepalive=false", "-H", "A: b"],
    &["-X", "DELETE"],
    &["--X=PUT", "--payload", "abc"],
    &["-H", "Content-Length: 3", "-payload", "abc"],
    &["-httpccch", "-httpbufferkb", "2"],
    &["-resolve", "127.0.0.1"],
    &["-compression", "-stdclient", "-H", "User-Agent:"],
];

/// Arguments behind the program's name, of which only the end is compared. Nothing listens at this URL.
const ENDINGS: &[&[&str]] = &[
    &[],
    &["nosuch"],
    &["grpcping", "x:1"],
    &["version"],
    &["load"],
    &["load", "-c", "x", "u"],
    &["load", "-zz", "u"],
    &["load", "-calc-qps", "-t", "0", "-n", "4", "u"],
    &["curl", "-connection-reuse", "a:b", "u"],
    &["curl", "-connection-reuse", "1:2:3", "u"],
    &["curl", "-dns-method", "foo", "u"],
    &["load", "-loglevel", "foo", "u"],
    &["curl", "-payload-file", "/no/such/file", "http://127.0.0.1:1/"],
    &["load", "-access-log-file", "/no/such/folder/log", "http://127.0.0.1:1/"],
    &["curl", "http://127.0.0.1:1/"],
    &["load", "-quiet", "-n", "2", "-c", "1", "-qps", "0", "http://127.0.0.1:1/"],
    &["nc", "127.0.0.1:1"],
];

pub(super) fn compare(fortio: &Path, ours: &Path, table: &mut Table) -> anyhow::Result<()> {
    let (address, heard) = listen()?;
    for flags in REQUESTS {
        let theirs = request(fortio, flags, address, &heard)?;
        let our = request(ours, flags, address, &heard)?;
        let what = format!("fortio curl {}: request", flags.join(" "));
        // Go's standard client has an order of headers of its own.
        if flags.contains(&"-stdclient") {
            table.same(what, sorted(&theirs), sorted(&our));
        } else {
            table.same(what, theirs, our);
        }
    }
    for arguments in ENDINGS {
        let ends = |program: &Path| -> anyhow::Result<String> {
            let output = Command::new(program).args(*arguments).stdin(Stdio::null()).output()?;
            Ok(format!("exit {}", output.status.code().unwrap_or(-1)))
        };
        table.same(format!("fortio {}", arguments.join(" ")), ends(fortio)?, ends(ours)?);
    }
    let talk = |program: &Path| -> anyhow::Result<String> {
        let output = netcat(program, address)?;
        heard.recv_timeout(Duration::from_secs(5)).context("nothing was heard")?;
        let said: Vec<u8> = [output.stdout, output.stderr].concat();
        // Its log has lines of its own, and begins them wherever the answer ended.
        let text = String::from_utf8_lossy(&said).into_owned();
        let answer = text.lines().map(|line| line.split("{\"ts\"").next().unwrap_or_default());
        Ok(answer.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("|"))
    };
    table.same("fortio nc: what it prints", talk(fortio)?, talk(ours)?);
    Ok(())
}

fn request(
    program: &Path,
    flags: &[&str],
    address: SocketAddr,
    heard: &Receiver<String>,
) -> anyhow::Result<String> {
    let url = format!("http://{address}/p?a=b");
    let output = Command::new(program).arg("curl").args(flags).arg(url).stdin(Stdio::null()).output()?;
    let said = heard.recv_timeout(Duration::from_secs(5));
    said.with_context(|| format!("no request came: {}", String::from_utf8_lossy(&output.stderr)))
}

fn netcat(program: &Path, address: SocketAddr) -> anyhow::Result<Output> {
    let mut child = Command::new(program)
        .args(["nc", &address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no stdin")?.write_all(b"hello\n")?;
    Ok(child.wait_with_output()?)
}

fn sorted(request: &str) -> String {
    let mut lines: Vec<&str> = request.split("\\r\\n").collect();
    lines.sort_unstable();
    lines.join("\\r\\n")
}

/// A server that answers whatever comes with the same few bytes and ends the connection; it hands on what it heard.
fn listen() -> anyhow::Result<(SocketAddr, Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (heard, told) = mpsc::channel();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let Ok(text) = talk(socket) else { continue };
            if heard.send(text).is_err() {
                return;
            }
        }
    });
    Ok((address, told))
}

fn talk(mut socket: TcpStream) -> std::io::Result<String> {
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut buffer = vec![0; 64 * 1024];
    // These requests come in one piece.
    let count = socket.read(&mut buffer)?;
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    Ok(buffer[..count].escape_ascii().to_string())
}
