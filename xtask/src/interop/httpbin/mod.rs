//! Our httpbin beside the real go-httpbin, and our echo servers beside the real fortio: the same requests, and answers
//! that are the same in status, headers, body and trailers, but for what docs/httpbin.md lists.

mod case;
mod cases;
mod fortio;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use fuseboard_httpbin::{FortioOptions, Listening, Options, serve, serve_fortio};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use self::case::Case;
use super::table::Table;
use crate::peers;
use crate::process::{self, Server};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Ours, all of them; they end with the thread that they run on.
struct Ours {
    usual: SocketAddr,
    bounded: SocketAddr,
    fortio: Vec<Listening>,
}

impl Ours {
    async fn start() -> anyhow::Result<(Self, impl Send)> {
        let usual = serve(Options::on(ANY_PORT)).await?;
        let bounded = serve(Options {
            prefix: "/p".into(),
            max_body_bytes: 100,
            max_duration: Duration::from_secs(1),
            redirect_hosts: vec!["example.org".into()],
            hidden_headers: vec!["x-secret-*".into(), "cookie".into()],
            ..Options::on(ANY_PORT)
        });
        let bounded = bounded.await?;
        let fortio = serve_fortio(FortioOptions {
            http: Some(ANY_PORT),
            tcp: Some(ANY_PORT),
            udp: Some(ANY_PORT),
            redirect: Some(ANY_PORT),
            ..FortioOptions::default()
        });
        let fortio = fortio.await?;
        let ours = Self {
            usual: usual.addresses()[0],
            bounded: bounded.addresses()[0],
            fortio: fortio.listening().to_vec(),
        };
        Ok((ours, (usual, bounded, fortio)))
    }

    fn fortio(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let listening = self.fortio.iter().find(|one| one.name == name);
        listening.map(|one| one.address).with_context(|| format!("no {name}"))
    }
}

pub(super) fn run(scratch: &Path, table: &mut Table) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (ours, servers) = runtime.block_on(Ours::start())?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        // An error means the same: nobody asks any more.
        let _ = runtime.block_on(stopped);
        drop(servers);
    });
    compare_httpbin(&ours, scratch, table)?;
    compare_fortio(&ours, scratch, table)?;
    drop(stop);
    thread.join().map_err(|_| anyhow!("our servers panicked"))
}

fn compare_httpbin(ours: &Ours, scratch: &Path, table: &mut Table) -> anyhow::Result<()> {
    let program = match peers::go_httpbin() {
        Ok(program) => program,
        Err(missing) => {
            table.skip("httpbin, endpoint by endpoint", missing);
            return Ok(());
        }
    };
    let (_server, theirs) = start(&program, scratch, "")?;
    compare(&cases::usual(), theirs, ours.usual, table);
    let flags = "-prefix /p -max-body-size 100 -max-duration 1s -allowed-redirect-domains example.org \
                 -exclude-headers x-secret-*,cookie";
    let (_server, theirs) = start(&program, scratch, flags)?;
    compare(&cases::bounded(), theirs, ours.bounded, table);
    Ok(())
}

fn compare_fortio(ours: &Ours, scratch: &Path, table: &mut Table) -> anyhow::Result<()> {
    let program = match peers::fortio() {
        Ok(program) => program,
        Err(missing) => {
            table.skip("fortio's servers", missing);
            return Ok(());
        }
    };
    let ports = fortio::Ports::free()?;
    let log = scratch.join("fortio-server.out");
    let mut server = Server::start("fortio server", None, &program, &ports.arguments(), &log)?;
    server.wait_for(ports.http)?;
    let (http, tcp, udp) = (ours.fortio("http-echo")?, ours.fortio("tcp-echo")?, ours.fortio("udp-echo")?);
    compare(&fortio::echoes(), ports.http, http, table);
    compare(&fortio::redirects(), ports.redirect, ours.fortio("https redirector")?, table);
    table.same("tcp-echo", fortio::tcp(ports.tcp)?, fortio::tcp(tcp)?);
    table.same("udp-echo", fortio::udp(ports.tcp)?, fortio::udp(udp)?);
    for (query, least, most) in fortio::SHARES {
        let (theirs, ours) = (fortio::share(ports.http, query)?, fortio::share(http, query)?);
        let is_good = |count: usize| (least..=most).contains(&count);
        let what = format!("GET /?{query}: other than 200, of {}", fortio::ROUNDS);
        table.ours(what, theirs, ours, is_good(theirs) && is_good(ours), "");
    }
    Ok(())
}

fn start(program: &Path, scratch: &Path, flags: &str) -> anyhow::Result<(Server, SocketAddr)> {
    let address = process::free_address()?;
    let port = address.port().to_string();
    let arguments: Vec<String> = ["-host", "127.0.0.1", "-port", &port, "-log-level", "OFF"]
        .into_iter()
        .chain(flags.split_whitespace())
        .map(str::to_owned)
        .collect();
    let mut server = Server::start("go-httpbin", None, program, &arguments, &scratch.join("go-httpbin.out"))?;
    server.wait_for(address)?;
    Ok((server, address))
}

fn compare(cases: &[Case], theirs: SocketAddr, ours: SocketAddr, table: &mut Table) {
    for case in cases {
        match case.run(theirs, ours) {
            Ok(outcome) => {
                let rows = outcome.rows.first().copied().unwrap_or_default();
                if outcome.rows.is_empty() && !outcome.is_wrong {
                    table.same(case.what(), outcome.theirs, outcome.ours);
                } else {
                    table.ours(case.what(), outcome.theirs, outcome.ours, !outcome.is_wrong, rows);
                }
            }
            Err(error) => table.ours(case.what(), "-", format!("{error:#}"), false, ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::repository;

    #[test]
    fn every_difference_is_a_row_of_the_page_and_every_row_is_compared() {
        let page = std::fs::read_to_string(repository::root().join("docs/httpbin.md")).unwrap();
        let listed: BTreeSet<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
            .map(|(first, _)| first)
            .filter(|first| first[1..].parse::<u8>().is_ok() && first.starts_with(['H', 'F']))
            .collect();
        let parts = [cases::usual(), cases::bounded(), fortio::echoes(), fortio::redirects()];
        let cases: Vec<Case> = parts.into_iter().flatten().collect();
        let compared: BTreeSet<&str> = cases.iter().flat_map(Case::rows).collect();
        assert_eq!(listed, compared);
        assert!(cases.len() > 350, "{}", cases.len());
    }
}
