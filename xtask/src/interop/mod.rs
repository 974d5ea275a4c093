//! `cargo xtask interop`: the same rules and the same traffic to the real thing and to Fuseboard, side by side.
//! A peer that can't be had here is skipped with its reason; a difference that docs/differences.md does not list fails.

mod breaker;
mod envoy;
mod experiment;
mod grpc;
mod http1;
mod http2;
mod httpbin;
mod loader;
mod pages;
mod prometheus;
mod results;
mod scenarios;
mod secured;
mod stats;
mod table;
mod wire;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::{peers, repository};
use table::Table;

/// Run real Envoy, fortio, go-httpbin, resilience4j, Node, Prometheus and clients of HTTP/2 and gRPC beside Fuseboard and print what each of them and Fuseboard say
#[derive(Args)]
pub(crate) struct Arguments {
    /// One part only; without it, all
    #[arg(value_enum)]
    part: Option<Part>,
    /// Compare this binary instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Istio's circuit-breaking task, through Envoy and through Fuseboard
    Experiment,
    /// Each limit, detector, time-out and kind of message, through Envoy and through Fuseboard
    Scenarios,
    /// The admin pages and names of stats, and Envoy's
    Admin,
    /// The dashboard's queries, asked of a real Prometheus
    Prometheus,
    /// The loader and fortio
    Loader,
    /// The test servers and go-httpbin, and fortio server
    Httpbin,
    /// The breaker's machine and resilience4j's
    Breaker,
    /// The HTTP/1.1 codec and Node's
    Http1,
    /// HTTP/2 and TLS, as h2spec, curl, nghttp, h2load and openssl find them
    Http2,
    /// gRPC, as grpc-go, grpcio, tonic and grpcurl find it with the proxy and without
    Grpc,
}

/// Where everything of a run lives.
struct Workbench {
    fuseboard: PathBuf,
    scratch: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let scratch = repository::root().join("target/interop");
    std::fs::create_dir_all(&scratch)?;
    let wanted = |part| arguments.part.is_none_or(|only| only == part);
    let mut table = Table::default();
    if wanted(Part::Httpbin) {
        httpbin::run(&scratch, &mut table)?;
    }
    if wanted(Part::Breaker) {
        breaker::run(&scratch, &mut table)?;
    }
    if wanted(Part::Http1) {
        http1::run(&scratch, &mut table)?;
    }
    // These run in this process; all else needs the binary.
    if !matches!(arguments.part, Some(Part::Httpbin | Part::Breaker | Part::Http1)) {
        let fuseboard = match &arguments.binary {
            Some(path) => path.canonicalize()?,
            None => repository::build()?,
        };
        let bench = Workbench { fuseboard, scratch };
        if wanted(Part::Experiment) {
            experiment::run(&bench, &mut table)?;
        }
        if wanted(Part::Scenarios) {
            scenarios::run(&bench, &mut table)?;
        }
        if wanted(Part::Admin) {
            compare_admin(&bench, &mut table)?;
        }
        if wanted(Part::Prometheus) {
            prometheus::run(&bench, &mut table)?;
        }
        if wanted(Part::Loader) {
            loader::run(&bench, &mut table)?;
        }
        if wanted(Part::Http2) {
            http2::run(&bench, &mut table)?;
        }
        if wanted(Part::Grpc) {
            grpc::run(&bench, &mut table)?;
        }
    }
    print(&table.to_string());
    if table.failed() > 0 {
        bail!("interop: {} of {} comparisons failed", table.failed(), table.len());
    }
    Ok(())
}

/// The admin servers of both, after the same traffic.
fn compare_admin(bench: &Workbench, table: &mut Table) -> anyhow::Result<()> {
    let program = match peers::envoy() {
        Ok(program) => program,
        Err(missing) => {
            table.skip("admin pages and names of stats", missing);
            return Ok(());
        }
    };
    let pair = experiment::Pair::start(bench, &program)?;
    pair.call_both(&["/get", "/status/404", "/status/200"])?;
    stats::compare(&pair, table)?;
    pages::compare(&pair, table)
}

#[expect(clippy::print_stdout, reason = "the table is this tool's output")]
fn print(text: &str) {
    println!("{text}");
}
