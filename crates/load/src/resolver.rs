//! Which address a new connection goes to: the name is looked up when the run starts and, unless told otherwise, again
//! for each connection after the first of a caller; of several addresses one is picked. Picking is pure, looking up is not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::options::{AddressFamily, AddressOrder, HttpOptions};
use crate::target::{Target, TargetError};

/// The addresses of one host, shared by the connections of a run.
#[derive(Debug)]
pub(crate) struct Resolver {
    host: String,
    port: u16,
    family: AddressFamily,
    order: AddressOrder,
    /// What the first look-up found; not empty.
    known: Vec<IpAddr>,
    /// Whether `known` stays the answer: an address needs no look-up, and several are kept by `cached-rr`.
    fixed: bool,
    turn: AtomicUsize,
}

impl Resolver {
    /// Looks the host up, so that a run against nobody fails before it starts.
    pub(crate) async fn of(target: &Target, options: &HttpOptions) -> Result<Self, TargetError> {
        let host = options.resolve.as_deref().unwrap_or(&target.host);
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let (family, order) = (options.address_family, options.address_order);
        let literal = host.parse::<IpAddr>().ok();
        let known = match literal {
            Some(address) => vec![address],
            None => look_up(&host, target.port, family)
                .await
                .map_err(|source| TargetError::Lookup { host: host.clone(), source })?,
        };
        if known.is_empty() {
            return Err(TargetError::NoAddress { host, family });
        }
        let fixed = literal.is_some() || (order == AddressOrder::CachedRoundRobin && known.len() > 1);
        Ok(Self { host, port: target.port, family, order, known, fixed, turn: AtomicUsize::new(0) })
    }

    /// Where the first connection of a caller goes.
    pub(crate) fn first(&self) -> SocketAddr {
        self.pick(&self.known)
    }

    /// Where a later one goes; the name may lead elsewhere by now.
    pub(crate) async fn again(&self) -> io::Result<SocketAddr> {
        if self.fixed {
            return Ok(self.first());
        }
        let found = look_up(&self.host, self.port, self.family).await?;
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no such host"));
        }
        Ok(self.pick(&found))
    }

    /// The host that is looked up.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    fn pick(&self, addresses: &[IpAddr]) -> SocketAddr {
        let index = match (addresses.len(), self.order) {
            (1, _) | (_, AddressOrder::First) => 0,
            (count, AddressOrder::Random) => fastrand::usize(..count),
            (count, AddressOrder::CachedRoundRobin | AddressOrder::RoundRobin) => {
                self.turn.fetch_add(1, Ordering::Relaxed) % count
            }
        };
        SocketAddr::new(addresses[index], self.port)
    }
}

async fn look_up(host: &str, port: u16, family: AddressFamily) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((host, port)).await?;
    Ok(of_family(family, found.map(|address| address.ip())))
}

/// Addresses of the family, each once, in the order of the name service.
fn of_family(family: AddressFamily, found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut kept: Vec<IpAddr> = Vec::new();
    for address in found {
        let fits = match family {
            AddressFamily::Ip4 => address.is_ipv4(),
            AddressFamily::Ip6 => address.is_ipv6(),
            AddressFamily::Any => true,
        };
        if fits && !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn known(order: AddressOrder, addresses: &[&str]) -> Resolver {
        let known = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let host = "h".to_owned();
        Resolver { host, port: 1, family: AddressFamily::Any, order, known, fixed: true, turn: 0.into() }
    }

    fn picked(order: AddressOrder, times: usize) -> Vec<String> {
        let resolver = known(order, &["10.0.0.1", "10.0.0.2", "::3"]);
        (0..times).map(|_| resolver.first().ip().to_string()).collect()
    }

    #[test]
    fn addresses_take_turns_or_the_first_or_any_is_taken() {
        let turns = ["10.0.0.1", "10.0.0.2", "::3", "10.0.0.1"];
        assert_eq!(picked(AddressOrder::CachedRoundRobin, 4), turns);
        assert_eq!(picked(AddressOrder::RoundRobin, 4), turns);
        assert_eq!(picked(AddressOrder::First, 2), ["10.0.0.1"; 2]);
        let all: BTreeSet<String> = picked(AddressOrder::Random, 200).into_iter().collect();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_family_leaves_the_other_out_and_nothing_comes_twice() {
        let found = ["::1", "127.0.0.1", "127.0.0.1", "::1"].map(|address| address.parse().unwrap());
        let kept = |family| of_family(family, found.into_iter()).len();
        assert_eq!([AddressFamily::Ip4, AddressFamily::Ip6, AddressFamily::Any].map(kept), [1, 1, 2]);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_an_address_is_not() {
        let target = Target::parse("http://localhost:7/").unwrap();
        let mut options = HttpOptions::to("");
        let resolver = Resolver::of(&target, &options).await.unwrap();
        assert_eq!(resolver.first().to_string(), "127.0.0.1:7");
        assert_eq!(resolver.again().await.unwrap().to_string(), "127.0.0.1:7");
        options.resolve = Some("[::9]".into());
        let resolver = Resolver::of(&target, &options).await.unwrap();
        assert_eq!(resolver.again().await.unwrap().to_string(), "[::9]:7");
    }
}
