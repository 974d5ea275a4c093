//! `pilot-agent wait`: until the proxy is ready, or not any longer. A pod's start hook calls it.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use fuseboard_admin::{AdminAddress, AdminClient};

use crate::asking;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Wait until the proxy is ready
#[derive(Args)]
pub(super) struct Arguments {
    /// Milliseconds from one question to the next
    #[arg(long = "periodMillis", value_name = "N", default_value_t = 500)]
    period_millis: u64,
    /// Milliseconds that an answer may take
    #[arg(long = "requestTimeoutMillis", value_name = "N", default_value_t = 500)]
    request_timeout_millis: u64,
    /// Seconds after which it gives up
    #[arg(long = "timeoutSeconds", value_name = "N", default_value_t = 60)]
    timeout_seconds: u64,
    /// What to ask, as http://HOST:PORT/PATH; default: /ready of the running proxy
    #[arg(long, value_parser = Url::parse)]
    url: Option<Url>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    address: AdminAddress,
    target: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let example = "write http://HOST:PORT/PATH, for example http://localhost:15000/ready";
        let rest = text.strip_prefix("http://").ok_or(example)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = authority.parse().map_err(|_| format!("`{authority}` is no address; {example}"))?;
        let target = if path.is_empty() { "/" } else { path }.to_owned();
        Ok(Self { address, target })
    }
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    output::note(format_args!(
        "Waiting for the proxy to be ready (timeout: {} seconds)...",
        arguments.timeout_seconds
    ));
    let end = Instant::now() + Duration::from_secs(arguments.timeout_seconds);
    loop {
        let problem = match ask(arguments) {
            Ok(()) => {
                output::note("The proxy is ready!");
                return Ok(Exit::Ok);
            }
            Err(problem) => problem,
        };
        let next = Instant::now() + Duration::from_millis(arguments.period_millis);
        if next >= end {
            return Err(Failure::message(
                Exit::Error,
                format_args!("timeout waiting for the proxy to become ready. Last error: {problem}"),
            ));
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Asks once; where the proxy is may change until it runs.
fn ask(arguments: &Arguments) -> Result<(), String> {
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None => Url {
            address: asking::discover().map_err(|failure| failure.error.to_string())?,
            target: "/ready".to_owned(),
        },
    };
    let patience = Duration::from_millis(arguments.request_timeout_millis);
    let answer = AdminClient::new(url.address).with_timeout(patience).get(&url.target);
    match answer.map_err(|error| error.to_string())?.status {
        200 => Ok(()),
        status => Err(format!("HTTP status code {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_address_and_a_target() {
        let url = Url::parse("http://127.0.0.1:15021/healthz/ready").unwrap();
        assert_eq!(
            (url.address.to_string().as_str(), url.target.as_str()),
            ("127.0.0.1:15021", "/healthz/ready")
        );
        assert_eq!(Url::parse("http://127.0.0.1:1").unwrap().target, "/");
        for wrong in ["", "127.0.0.1:15021", "https://127.0.0.1:1/", "http:///ready", "http://127.0.0.1/"] {
            assert!(Url::parse(wrong).unwrap_err().contains("http://localhost:15000/ready"), "{wrong}");
        }
    }
}
