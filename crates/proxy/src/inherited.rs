//! Listening sockets that pass from one process to the next, and whose they are: what was asked to be listened on decides, be
//! it a free port. How they get there is the caller's business.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fuseboard_admin::AdminAddress;

/// What a listening socket is for, with the address that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Clients connect to it.
    Listener(SocketAddr),
    /// The admin server's.
    Admin(AdminAddress),
    /// What Prometheus asks.
    Metrics(SocketAddr),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(address) => write!(f, "listener {address}"),
            Self::Admin(address) => write!(f, "admin {address}"),
            Self::Metrics(address) => write!(f, "metrics {address}"),
        }
    }
}

/// A text that names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place of a listening socket")]
pub struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let unknown = || NoPlace(text.to_owned());
        let (kind, address) = text.split_once(' ').ok_or_else(unknown)?;
        match kind {
            "listener" => address.parse().map(Self::Listener).map_err(|_| unknown()),
            "admin" => address.parse().map(Self::Admin).map_err(|_| unknown()),
            "metrics" => address.parse().map(Self::Metrics).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

/// A listening socket and what it is for.
#[derive(Debug)]
pub struct Handed {
    /// What it is for.
    pub place: Place,
    /// The socket.
    pub socket: OwnedFd,
}

/// The sockets that the process before this one left, until they are taken.
#[derive(Debug, Default)]
pub struct Inherited(Mutex<Vec<Handed>>);

impl Inherited {
    /// These.
    pub fn new(sockets: Vec<Handed>) -> Self {
        Self(Mutex::new(sockets))
    }

    /// The sockets of one listener at `wanted`: several where each worker had its own.
    pub(crate) fn listener(&self, wanted: SocketAddr) -> Vec<TcpListener> {
        let taken = self.take(&Place::Listener(wanted), |first, other| first.bound() == other.bound());
        taken.into_iter().map(TcpListener::from).collect()
    }

    /// The admin server's, if it is a TCP socket.
    pub(crate) fn admin_tcp(&self, wanted: SocketAddr) -> Option<TcpListener> {
        self.one(&Place::Admin(AdminAddress::Tcp(wanted))).map(TcpListener::from)
    }

    /// The admin server's, if it has a file.
    pub(crate) fn admin_unix(&self, wanted: &AdminAddress) -> Option<UnixListener> {
        self.one(&Place::Admin(wanted.clone())).map(UnixListener::from)
    }

    pub(crate) fn metrics(&self, wanted: SocketAddr) -> Option<TcpListener> {
        self.one(&Place::Metrics(wanted)).map(TcpListener::from)
    }

    /// Closes those that nobody wanted.
    pub(crate) fn close_rest(&self) {
        self.lock().clear();
    }

    fn one(&self, place: &Place) -> Option<OwnedFd> {
        self.take(place, |_, _| false).pop()
    }

    /// The first one for `place`, and those that belong to it.
    fn take(&self, place: &Place, belongs: impl Fn(&Handed, &Handed) -> bool) -> Vec<OwnedFd> {
        let mut sockets = self.lock();
        let Some(first) = sockets.iter().position(|handed| handed.place == *place) else { return Vec::new() };
        let first = sockets.remove(first);
        let is_its = |other: &mut Handed| other.place == *place && belongs(&first, other);
        let mut taken: Vec<_> = sockets.extract_if(.., is_its).map(|handed| handed.socket).collect();
        taken.insert(0, first.socket);
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Handed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handed {
    fn bound(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(rustix::net::getsockname(&self.socket).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    fn place() -> Place {
        Place::Listener(ANY.parse().unwrap())
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for text in [
            "listener 127.0.0.1:9000",
            "listener [::1]:0",
            "admin 127.0.0.1:15000",
            "admin unix:/run/a b.sock",
            "metrics 0.0.0.0:15090",
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in ["", "listener", "listener x", "door 127.0.0.1:1", "metrics unix:/a"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace(text.to_owned())));
        }
    }

    #[test]
    fn of_two_listeners_on_free_ports_each_gets_its_own_and_those_of_all_workers() {
        let one = TcpListener::bind(ANY).unwrap();
        let other = TcpListener::bind(ANY).unwrap();
        let handed =
            |socket: &TcpListener| Handed { place: place(), socket: socket.try_clone().unwrap().into() };
        let inherited = Inherited::new(vec![handed(&one), handed(&other), handed(&one)]);
        for (wanted, sockets) in [(&one, 2), (&other, 1)] {
            let taken = inherited.listener(ANY.parse().unwrap());
            assert_eq!(taken.len(), sockets);
            assert!(taken.iter().all(|socket| socket.local_addr().unwrap() == wanted.local_addr().unwrap()));
        }
        assert!(inherited.listener(ANY.parse().unwrap()).is_empty());
    }

    #[test]
    fn what_nobody_wants_is_closed() {
        let socket = TcpListener::bind(ANY).unwrap();
        let address = socket.local_addr().unwrap();
        let inherited = Inherited::new(vec![Handed { place: place(), socket: socket.into() }]);
        assert!(inherited.metrics(ANY.parse().unwrap()).is_none());
        inherited.close_rest();
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
