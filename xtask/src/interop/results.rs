//! Saved results of fortio and ours: the same keys with values of the same kind, the same names of files, the same lines
//! of the access log; and whether fortio itself reads ours.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::Workbench;
use super::table::Table;
use crate::peers;
use crate::process::{self, Server};

/// Flags of runs whose results are compared.
const RUNS: &[&str] = &[
    "-c 2 -n 10 -qps 0",
    "-c 1 -n 4 -qps 50 -jitter -labels a,b -runid 7",
    "-c 1 -n 3 -qps 0 -stdclient -L -compression -user u:p -payload abc -H content-type:x/y",
    "-c 1 -n 3 -qps 0 -connection-reuse 2:3 -no-reresolve -resolve 127.0.0.1 -keepalive=false",
];

pub(super) fn compare(
    bench: &Workbench,
    fortio: &Path,
    ours: &Path,
    url: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let folder = bench.scratch.join("results");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    for flags in RUNS {
        let (theirs, our) = (document(fortio, flags, url, &folder)?, document(ours, flags, url, &folder)?);
        let what = |what: &str| format!("fortio load {flags} -json: {what}");
        table.same(what("keys and kinds of values"), kinds(&theirs, &our), kinds(&our, &theirs));
        table.same(what("what was asked"), asked(&theirs), asked(&our));
        table.ours(
            what("UserCredentials is empty"),
            &theirs["UserCredentials"],
            &our["UserCredentials"],
            our["UserCredentials"] == "",
            "",
        );
    }
    for format in ["json", "influx"] {
        let line = |program: &Path| access_log_line(program, format, url, &folder);
        table.same(format!("fortio load -access-log-format {format}: a line"), line(fortio)?, line(ours)?);
    }
    let name =
        |program: &Path| autosaved(program, url, &folder).map(|path| without_digits(&file_name(&path)));
    table.same("fortio load -a: name of the file", name(fortio)?, name(ours)?);
    read_by_fortio(bench, fortio, &bench.fuseboard, url, table)
}

pub(super) fn document(program: &Path, flags: &str, url: &str, folder: &Path) -> anyhow::Result<Value> {
    let path = folder.join("run.json");
    run(program, &format!("{flags} -json {}", path.display()), url)?;
    Ok(serde_json::from_slice(&fs::read(&path)?)?)
}

fn run(program: &Path, flags: &str, url: &str) -> anyhow::Result<String> {
    let output = Command::new(program)
        .arg("load")
        .args(flags.split_whitespace())
        .arg(url)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{} load {flags}: {said}", program.display());
    Ok(said)
}

/// The keys whose value is of another kind over there, or missing; how many there are where all are alike.
pub(super) fn kinds(one: &Value, other: &Value) -> String {
    let (mine, theirs) = (kinds_of(one), kinds_of(other));
    let odd: Vec<String> = mine
        .iter()
        .filter(|(key, kind)| theirs.get(*key) != Some(kind))
        .map(|(key, kind)| format!("{key}: {kind}"))
        .collect();
    if odd.is_empty() { format!("{} keys", mine.len()) } else { odd.join(", ") }
}

/// Each key with its path and the kind of its value; all entries of a list, and of a map of counts, count as one.
fn kinds_of(document: &Value) -> BTreeMap<String, &'static str> {
    fn add(path: &str, value: &Value, all: &mut BTreeMap<String, &'static str>) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        all.insert(path.to_owned(), kind);
        match value {
            Value::Array(entries) => entries.iter().for_each(|entry| add(&format!("{path}[]"), entry, all)),
            Value::Object(fields) => {
                for (key, field) in fields {
                    let key = if path.ends_with("Map") || path.ends_with("RetCodes") { "*" } else { key };
                    add(&format!("{path}.{key}"), field, all);
                }
            }
            _ => {}
        }
    }
    let mut all = BTreeMap::new();
    add("", document, &mut all);
    all
}

/// The values that follow from the flags alone.
pub(super) fn asked(document: &Value) -> String {
    const KEYS: &[&str] = &[
        "RunType",
        "RequestedQPS",
        "RequestedDuration",
        "NumThreads",
        "Version",
        "Exactly",
        "Jitter",
        "Uniform",
        "NoCatchUp",
        "RunID",
        "NumConnections",
        "Compression",
        "DisableFastClient",
        "HTTP10",
        "H2",
        "DisableKeepAlive",
        "AllowHalfClose",
        "FollowRedirects",
        "Resolve",
        "HTTPReqTimeOut",
        "ContentType",
        "Payload",
        "MethodOverride",
        "LogErrors",
        "SequentialWarmup",
        "ConnReuseRange",
        "NoResolveEachConn",
        "Offset",
        "Resolution",
        "SocketCount",
        "AbortOn",
        "RetCodes",
        "Destination",
        "Streams",
        "Ping",
        "Labels",
        "URL",
    ];
    KEYS.iter().map(|key| document[*key].to_string()).collect::<Vec<_>>().join(" ")
}

fn access_log_line(program: &Path, format: &str, url: &str, folder: &Path) -> anyhow::Result<String> {
    let path = folder.join(format!("access.{format}"));
    let _ = fs::remove_file(&path);
    run(
        program,
        &format!("-c 1 -n 3 -qps 0 -access-log-file {} -access-log-format {format}", path.display()),
        url,
    )?;
    let text = fs::read_to_string(&path)?;
    let last = text.lines().last().context("the access log is empty")?;
    Ok(format!("{} lines of {}", text.lines().count(), without_digits(last)))
}

fn autosaved(program: &Path, url: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let home = folder.join("autosaved");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home)?;
    let flags = format!("-c 1 -n 1 -qps 0 -a -labels x,y! -runid 7 -data-dir {}", home.display());
    let said = run(program, &flags, url)?;
    let saved = fs::read_dir(&home)?.next().context("nothing was saved")??.path();
    ensure!(said.contains(&saved.display().to_string()), "it does not say where it saved: {said}");
    Ok(saved)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn without_digits(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

/// An answer of a server that accepts connections before it knows its own pages, as fortio's does.
fn once_served(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let (status, text) = process::get(address, "localhost", path)?;
        if status != 404 || Instant::now() >= until {
            return Ok((status, text));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A result in our own style, with our own key: fortio's report server lists and serves it, and fortio's own types take
/// it, every key but ours known to them.
fn read_by_fortio(
    bench: &Workbench,
    fortio: &Path,
    ours: &Path,
    url: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let path = autosaved(ours, url, &bench.scratch.join("results"))?;
    let folder = path.parent().context("no folder")?;
    let address = process::free_address()?;
    let line = format!("report -http-port {address} -redirect-port disabled -data-dir {}", folder.display());
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let log = bench.scratch.join("fortio-report.out");
    let mut server = Server::start("fortio report", None, fortio, &arguments, &log)?;
    server.wait_for(address)?;
    let name = file_name(&path);
    let (status, index) = once_served(address, "/data/index.tsv")?;
    table.same("fortio report lists our result", "200 true", format!("{status} {}", index.contains(&name)));
    let (status, text) = process::get(address, "localhost", &format!("/data/{name}"))?;
    let whole =
        serde_json::from_str::<Value>(&text).is_ok_and(|whole| whole["DurationHistogram"]["Count"] == 1);
    table.same("fortio report serves our result", "200 true", format!("{status} {whole}"));
    match reader(&bench.scratch) {
        Ok(reader) => {
            let output = Command::new(reader).arg(&path).output()?;
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            table.same("fortio's own types take our result", "HTTP 1 map[200:1] fuseboard", said.trim());
        }
        Err(missing) => table.skip("fortio's own types take our result", missing),
    }
    Ok(())
}

const READER: &str = r#"package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"fortio.org/fortio/fhttp"
)

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		panic(err)
	}
	_, ours := all["fuseboard"]
	delete(all, "fuseboard")
	rest, _ := json.Marshal(all)
	decoder := json.NewDecoder(strings.NewReader(string(rest)))
	decoder.DisallowUnknownFields()
	var result fhttp.HTTPRunnerResults
	if err := decoder.Decode(&result); err != nil {
		panic(err)
	}
	fmt.Print(result.RunType, " ", result.DurationHistogram.Count, " ", result.RetCodes)
	if ours {
		fmt.Print(" fuseboard")
	}
	fmt.Println()
}
"#;

/// A program that reads a result into fortio's own types and knows no key but theirs and ours.
fn reader(scratch: &Path) -> Result<PathBuf, peers::Missing> {
    peers::go_program(
        "fortio-reader",
        READER,
        &format!("fortio.org/fortio {}", peers::FORTIO_VERSION),
        scratch,
    )
}
