//! What the kernel knows of a connection's other end: whether it has closed, and whether this process still holds it.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// For each socket, whether its peer has sent FIN or RST, read or not. One system call.
pub(crate) fn gone<'a, F: AsFd + 'a>(sockets: impl Iterator<Item = &'a F>) -> Vec<bool> {
    let mut polled: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::RDHUP)).collect();
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut polled, Some(&at_once)).is_err() {
        return vec![false; polled.len()];
    }
    let end = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    polled.iter().map(|polled| polled.revents().intersects(end)).collect()
}

/// The sockets on this machine (IPv4) whose descriptor some process holds, by their two ports.
pub(crate) struct Held(Option<HashSet<(u16, u16)>>);

impl Held {
    /// As it is now, of the sockets that are connected to one of these addresses. Of the others there can be ten thousands, closed a
    /// minute ago: to look at each would hold up who asks, on a busy machine for seconds.
    pub(crate) fn at(addresses: impl Iterator<Item = SocketAddr>) -> Self {
        let ports: BTreeSet<u16> = addresses.map(|address| address.port()).collect();
        let marks: Vec<String> = ports.into_iter().map(|port| format!(":{port:04X} ")).collect();
        let wanted = |line: &&str| marks.iter().any(|mark| line.contains(mark));
        let table = fs::read_to_string("/proc/self/net/tcp").ok();
        Self(table.map(|table| table.lines().filter(wanted).filter_map(held).collect()))
    }

    /// Whether the socket bound to `local` and connected to `remote` is held. Where nobody knows, it is.
    pub(crate) fn contains(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.0.as_ref().is_none_or(|held| held.contains(&(local.port(), remote.port())))
    }
}

/// The ports of one row; `None` for a socket whose last descriptor is closed: it has inode 0 until it is gone.
fn held(line: &str) -> Option<(u16, u16)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let mut port = || u16::from_str_radix(fields.next()?.rsplit_once(':')?.1, 16).ok();
    let ports = (port()?, port()?);
    fields.nth(6).is_some_and(|inode| inode != "0").then_some(ports)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_closed_peer_is_seen_behind_bytes_that_nobody_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        std::io::Write::write_all(&mut &client, b"unread").unwrap();
        assert_eq!(gone([&server].into_iter()), [false]);
        let address = listener.local_addr().unwrap();
        let held = || Held::at([address].into_iter()).contains(peer, address);
        assert!(held());
        drop(client);
        assert_eq!(gone([&server].into_iter()), [true]);
        assert!(!held());
    }
}
