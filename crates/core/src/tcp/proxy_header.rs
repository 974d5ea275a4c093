//! The PROXY protocol, versions 1 and 2: a few bytes before everything else that say who the client is (haproxy's
//! `proxy-protocol.txt`). What is read comes from peers: it is bounded, and either whole, unfinished or refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is taken: version 2 with an address and a few hundred bytes of extensions.
pub const MAX_PROXY_HEADER: usize = 1024;

/// The longest line of version 1, with its end.
const MAX_LINE: usize = 107;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const LINE: &[u8; 6] = b"PROXY ";

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// A client, and the address that it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// The client.
    pub source: SocketAddr,
    /// The address that it called.
    pub destination: SocketAddr,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header; more must come.
    Unfinished,
    /// A header.
    Whole {
        /// Its length; what follows is the client's.
        length: usize,
        /// What it says; `None`: that it says nothing (`UNKNOWN`, `LOCAL`, a family that has no addresses here).
        proxied: Option<Proxied>,
    },
}

/// The first bytes are no PROXY header, or a broken one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoProxyHeader;

impl ProxyHeader {
    /// Reads the front of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoProxyHeader> {
        if begins(bytes, SIGNATURE) {
            return if bytes.len() < 16 { Ok(Self::Unfinished) } else { binary(bytes) };
        }
        if !begins(bytes, LINE) {
            return Err(NoProxyHeader);
        }
        let front = &bytes[..bytes.len().min(MAX_LINE)];
        match front.windows(2).position(|pair| pair == b"\r\n") {
            Some(end) => line(&front[..end]).map(|proxied| Self::Whole { length: end + 2, proxied }),
            None if bytes.len() < MAX_LINE => Ok(Self::Unfinished),
            None => Err(NoProxyHeader),
        }
    }
}

/// Whether one is the beginning of the other.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(one, other)| one == other)
}

fn line(line: &[u8]) -> Result<Option<Proxied>, NoProxyHeader> {
    let text = std::str::from_utf8(line).map_err(|_| NoProxyHeader)?;
    let mut words = text.split(' ').skip(1);
    let family = words.next().ok_or(NoProxyHeader)?;
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let mut next = || words.next().ok_or(NoProxyHeader);
    let (from, to, from_port, to_port) = (next()?, next()?, next()?, next()?);
    if words.next().is_some() {
        return Err(NoProxyHeader);
    }
    let ip = |text: &str| -> Result<IpAddr, NoProxyHeader> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| NoProxyHeader),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| NoProxyHeader),
            _ => Err(NoProxyHeader),
        }
    };
    let port = |text: &str| -> Result<u16, NoProxyHeader> {
        // Rust would take a sign.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or(NoProxyHeader)
    };
    Ok(Some(Proxied {
        source: SocketAddr::new(ip(from)?, port(from_port)?),
        destination: SocketAddr::new(ip(to)?, port(to_port)?),
    }))
}

/// With the sixteen bytes that every header of version 2 has.
fn binary(bytes: &[u8]) -> Result<ProxyHeader, NoProxyHeader> {
    let (command, family) = (bytes[12], bytes[13]);
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let length = 16 + rest;
    if command >> 4 != 2 || command & 0xf > 1 || length > MAX_PROXY_HEADER {
        return Err(NoProxyHeader);
    }
    if bytes.len() < length {
        return Ok(ProxyHeader::Unfinished);
    }
    let addresses = &bytes[16..length];
    let proxied = match (command & 0xf, family) {
        (0, _) => None,
        (_, 0x11) => Some(v4(addresses.get(..12).ok_or(NoProxyHeader)?)),
        (_, 0x21) => Some(v6(addresses.get(..36).ok_or(NoProxyHeader)?)),
        _ => None,
    };
    Ok(ProxyHeader::Whole { length, proxied })
}

fn v4(bytes: &[u8]) -> Proxied {
    let ip = |at: usize| IpAddr::from(Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]));
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    Proxied { source: SocketAddr::new(ip(0), port(8)), destination: SocketAddr::new(ip(4), port(10)) }
}

fn v6(bytes: &[u8]) -> Proxied {
    let ip = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&bytes[at..at + 16]);
        IpAddr::from(Ipv6Addr::from(octets))
    };
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    Proxied { source: SocketAddr::new(ip(0), port(32)), destination: SocketAddr::new(ip(16), port(34)) }
}

impl Proxied {
    /// The header that says so. Where one address is of IPv4 and the other of IPv6, both are written as IPv6.
    pub fn header(&self, version: ProxyVersion) -> Vec<u8> {
        let both_v4 = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Some((from, to)),
            _ => None,
        };
        let mapped = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let v6 = (mapped(self.source.ip()), mapped(self.destination.ip()));
        let (from_port, to_port) = (self.source.port(), self.destination.port());
        match (version, both_v4) {
            (ProxyVersion::V1, Some((from, to))) => {
                format!("PROXY TCP4 {from} {to} {from_port} {to_port}\r\n").into_bytes()
            }
            (ProxyVersion::V1, None) => {
                format!("PROXY TCP6 {} {} {from_port} {to_port}\r\n", v6.0, v6.1).into_bytes()
            }
            (ProxyVersion::V2, Some((from, to))) => {
                self.binary(0x11, &[&from.octets()[..], &to.octets()[..]])
            }
            (ProxyVersion::V2, None) => self.binary(0x21, &[&v6.0.octets()[..], &v6.1.octets()[..]]),
        }
    }

    fn binary(&self, family: u8, addresses: &[&[u8]; 2]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        let length: u8 = if family == 0x11 { 12 } else { 36 };
        out.extend([0x21, family, 0, length]);
        out.extend_from_slice(addresses[0]);
        out.extend_from_slice(addresses[1]);
        out.extend(self.source.port().to_be_bytes());
        out.extend(self.destination.port().to_be_bytes());
        out
    }
}
