//! Values as people write them on a command line: addresses, durations, seeds.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use fuseboard_config::{Carries, PortListen};

/// An address to listen on: `127.0.0.1:8080`, `[::1]:0`, `0.0.0.0:80`, or `:8080`, which means `127.0.0.1:8080`.
/// Other machines are let in only by an address that says so.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("127.0.0.1{text}") } else { text.to_owned() };
    full.parse().or_else(|_| resolve(&full)?.into_iter().next().ok_or_else(|| nothing(text)))
}

/// An address to listen on and what for: `127.0.0.1:5432=postgres:5432`, or `:5432=postgres.shop:5432`.
pub(crate) fn listen_port(text: &str, carries: Carries) -> Result<PortListen, String> {
    const EXAMPLE: &str = "write ADDR=SERVICE:PORT, for example 127.0.0.1:5432=postgres:5432";
    let (address, target) = text.split_once('=').ok_or_else(|| format!("no service; {EXAMPLE}"))?;
    let (host, port) = target.rsplit_once(':').ok_or_else(|| format!("`{target}` has no port; {EXAMPLE}"))?;
    let port = port.parse().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| format!("`{target}` ends with no port; {EXAMPLE}"))?;
    if host.is_empty() {
        return Err(format!("no service; {EXAMPLE}"));
    }
    Ok(PortListen { address: listen(address)?, host: host.into(), port, carries, tls: false })
}

/// Addresses to connect to: literal, or a name that is resolved now.
pub(crate) fn connect(text: &str) -> Result<Vec<SocketAddr>, String> {
    let full = if text.starts_with(':') { format!("127.0.0.1{text}") } else { text.to_owned() };
    let found = resolve(&full)?;
    if found.is_empty() { Err(nothing(text)) } else { Ok(found) }
}

/// A duration with its unit: `250ms`, `1.5s`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "a duration has a unit; write for example 250ms, 30s or 1m30s".to_owned())
}

/// A seed that differs from run to run.
pub(crate) fn random_seed() -> u64 {
    // The standard library's hasher keys are random for each process.
    RandomState::new().build_hasher().finish()
}

fn resolve(text: &str) -> Result<Vec<SocketAddr>, String> {
    let example = "write HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080";
    let (_, port) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` has no port; {example}"))?;
    port.parse::<u16>().map_err(|_| format!("`{port}` is not a port; {example}"))?;
    let mut found: Vec<SocketAddr> =
        text.to_socket_addrs().map_err(|error| format!("`{text}`: {error}; {example}"))?.collect();
    // `localhost` names both families; one service listens on one of them, and IPv4 is the usual one.
    found.sort_by_key(SocketAddr::is_ipv6);
    found.truncate(if text.starts_with("localhost:") { 1 } else { found.len() });
    Ok(found)
}

fn nothing(text: &str) -> String {
    format!("`{text}` has no address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_means_this_machine() {
        assert_eq!(listen(":9000").unwrap().to_string(), "127.0.0.1:9000");
        assert_eq!(listen("[::1]:0").unwrap().to_string(), "[::1]:0");
        assert_eq!(connect("127.0.0.1:80").unwrap().len(), 1);
    }

    #[test]
    fn an_address_for_one_port_says_which() {
        let listen_tcp = |text| listen_port(text, Carries::Bytes);
        let listen = listen_tcp(":5432=postgres.shop:15432").unwrap();
        assert_eq!((&*listen.host, listen.port), ("postgres.shop", 15432));
        assert_eq!(listen.address.to_string(), "127.0.0.1:5432");
        for (wrong, says) in [
            (":5432", "no service"),
            (":5432=postgres", "has no port"),
            (":5432=:1", "no service"),
            (":5432=postgres:0", "no port"),
            (":5432=postgres:x", "no port"),
            ("5432=postgres:1", "no port"),
        ] {
            assert!(listen_tcp(wrong).unwrap_err().contains(says), "{wrong}: {:?}", listen_tcp(wrong));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(listen("127.0.0.1").unwrap_err().contains("no port"));
        assert!(listen("127.0.0.1:http").unwrap_err().contains("`http` is not a port"));
    }
}
