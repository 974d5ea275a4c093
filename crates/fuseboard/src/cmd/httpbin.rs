//! `fuseboard httpbin`: the test server on its own.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use fuseboard_httpbin::{Options, ServeError, Style};
use fuseboard_tls::ServerPolicy;

use super::server::tls::Files;
use crate::exit::{Exit, Failure, Outcome};
use crate::signals::StopSignals;
use crate::{argument, output};

/// Environment variables of this prefix are shown by `/env`.
const SHOWN_ENVIRONMENT: &str = "HTTPBIN_";

/// Serve httpbin: a test server whose delays and failures the caller chooses
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard httpbin --listen 127.0.0.1:8080
  curl http://127.0.0.1:8080/status/503
  curl http://127.0.0.1:8080/delay/250ms
  # 20 % of the answers are 503, 10 % take 150 us longer
  curl 'http://127.0.0.1:8080/echo?status=503:20&delay=150us:10'
  # a server with room for two at a time, and one that waits
  fuseboard load -c 4 -qps 0 -n 40 'http://127.0.0.1:8080/concurrency?max=2&queue=1'
  # HTTP/2 by prior knowledge, and with TLS, where curl asks for it by itself
  curl --http2-prior-knowledge http://127.0.0.1:8080/get
  fuseboard httpbin --listen :8443 --tls-cert server.pem --tls-key server-key.pem
  curl --cacert ca.pem https://localhost:8443/reset?code=REFUSED_STREAM
  # break a running instance, and mend it
  fuseboard httpbin --listen :8080 --control :8081
  curl -d '{\"fail\": 0.5, \"delay\": \"200ms\"}' http://127.0.0.1:8081/_ctl
  curl -d '{\"fail\": 0, \"delay\": 0}' http://127.0.0.1:8081/_ctl

All paths: http://127.0.0.1:8080/ and docs/httpbin.md")]
pub(crate) struct Arguments {
    /// Address to listen on; may be repeated; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = argument::listen)]
    listen: Vec<SocketAddr>,
    /// Certificate, in PEM, with those that lead to its authority: every --listen speaks TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of --tls-cert, in PEM; may be the same file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Only clients with a certificate of these authorities, in PEM, are let in
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Address of the control door, where POST /_ctl breaks the instance while it runs; default: none
    #[arg(long, value_name = "ADDR", value_parser = argument::listen)]
    control: Option<SocketAddr>,
    /// Name of this instance, in the answer header x-httpbin-instance and in /hostname; default: no header, and the name
    /// of the machine
    #[arg(long)]
    name: Option<String>,
    /// Seed of everything random; default: a random one
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Shape of the JSON
    #[arg(long, value_enum, default_value = "go")]
    style: Shape,
    /// Longest request body read and longest body made
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_body_size: usize,
    /// Longest delay, drip, stream or WebSocket
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = argument::duration)]
    max_duration: Duration,
    /// In front of every path, for example /httpbin
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true, value_parser = prefix)]
    prefix: String,
    /// Hosts that /redirect-to may lead to, separated by commas; default: all
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    allowed_redirect_domains: Vec<String>,
    /// Request headers that no answer shows, separated by commas; * stands for any letters
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    exclude_headers: Vec<String>,
    /// Leave HTML unescaped in answers whose type the caller chooses: lets a link run scripts in a browser
    #[arg(long)]
    unsafe_allow_dangerous_responses: bool,
}

/// Whose JSON.
#[derive(Clone, Copy, ValueEnum)]
enum Shape {
    /// go-httpbin's: every argument and header is a list
    Go,
    /// The original's, which Istio's documentation shows: a single value is a string
    Python,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (certificate.clone(), key.clone());
            let files = Files { certificate, key, authorities: arguments.client_ca.clone() };
            Some(files.policy().map_err(|problem| Failure::message(Exit::BadInput, problem))?)
        }
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = StopSignals::listen()?;
        let server = fuseboard_httpbin::serve(options(arguments, tls)).await.map_err(not_served)?;
        for address in server.addresses() {
            output::out(format_args!("ready  httpbin {scheme}://{address}"));
        }
        if let Some(address) = server.control_address() {
            output::out(format_args!("ready  control http://{address}/_ctl"));
        }
        signals.next().await;
        server.stop().await;
        Ok(Exit::Ok)
    })
}

fn options(arguments: &Arguments, tls: Option<Arc<ServerPolicy>>) -> Options {
    let named = |names: &[String]| {
        let names = names.iter().map(|name| name.trim().to_owned());
        names.filter(|name| !name.is_empty()).collect()
    };
    Options {
        listen: arguments.listen.clone(),
        tls,
        control: arguments.control,
        name: arguments.name.clone(),
        hostname: arguments.name.clone().or_else(machine),
        seed: arguments.seed,
        max_body_bytes: arguments.max_body_size,
        max_duration: arguments.max_duration,
        style: match arguments.style {
            Shape::Go => Style::Go,
            Shape::Python => Style::Python,
        },
        prefix: arguments.prefix.clone(),
        redirect_hosts: named(&arguments.allowed_redirect_domains),
        hidden_headers: named(&arguments.exclude_headers),
        env: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(SHOWN_ENVIRONMENT))
            .collect(),
        escape_html: !arguments.unsafe_allow_dangerous_responses,
    }
}

/// The name of this machine, or of this pod.
fn machine() -> Option<String> {
    Some(rustix::system::uname().nodename().to_str().ok()?.to_owned())
}

fn prefix(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.starts_with('/') && !text.ends_with('/') {
        Ok(text.to_owned())
    } else {
        Err("begin with a slash and do not end with one: /httpbin")
    }
}

/// Who has the port, where that is the problem and the system tells.
pub(crate) fn not_served(error: ServeError) -> Failure {
    let holder = match &error {
        ServeError::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
            fuseboard_proxy::holder_of(*address).map(|holder| format!("{error}: in use by {holder}"))
        }
        _ => None,
    };
    let failure = Failure::new(Exit::Error, error);
    match holder {
        Some(text) => Failure::message(Exit::Error, text).next("choose another port; 0 takes a free one"),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_its_slash_in_front() {
        assert!(prefix("").is_ok() && prefix("/a/b").is_ok());
        assert!(prefix("a").is_err() && prefix("/a/").is_err() && prefix("/").is_err());
    }
}
