//! What an old and a new process say to each other while the new one takes over: sockets, `ready`, `go`. They share a pair of
//! sockets that keeps messages apart; the new process's end is its standard input.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use fuseboard_proxy::{Handed, Place};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown,
    socketpair,
};

/// Longer than any message: a place has an address, which may be the path of a socket file.
const LONGEST: usize = 4096;

/// All sockets were sent.
const ALL: &str = "all";
const READY: &str = "ready";
const GO: &str = "go";

/// One end.
#[derive(Debug)]
pub(super) struct Line(OwnedFd);

/// Both ends.
pub(super) fn pair() -> io::Result<(Line, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Line(ours), theirs))
}

impl Line {
    /// The end that standard input is.
    pub(super) fn of_stdin() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Waits no longer than this for what the other side says, or takes.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(patience))?;
        Ok(set_socket_timeout(&self.0, Timeout::Send, Some(patience))?)
    }

    pub(super) fn send_sockets(&self, sockets: &[Handed]) -> io::Result<()> {
        for handed in sockets {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let socket = [handed.socket.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&socket));
            let place = handed.place.to_string();
            sendmsg(&self.0, &[IoSlice::new(place.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
        }
        self.say(ALL)
    }

    pub(super) fn receive_sockets(&self) -> io::Result<Vec<Handed>> {
        let mut sockets = Vec::new();
        loop {
            let (text, socket) = self.receive()?;
            match socket {
                Some(socket) => {
                    let place: Place = text.parse().map_err(io::Error::other)?;
                    sockets.push(Handed { place, socket });
                }
                None if text == ALL => return Ok(sockets),
                None => return Err(unexpected(&text)),
            }
        }
    }

    pub(super) fn say_ready(&self) -> io::Result<()> {
        self.say(READY)
    }

    pub(super) fn hear_ready(&self) -> io::Result<()> {
        self.hear(READY)
    }

    pub(super) fn say_go(&self) -> io::Result<()> {
        self.say(GO)
    }

    pub(super) fn hear_go(&self) -> io::Result<()> {
        self.hear(GO)
    }

    /// Nothing more is said: whoever waits on either end stops waiting.
    pub(super) fn hang_up(&self) {
        // The other end may have done so.
        let _ = shutdown(&self.0, Shutdown::Both);
    }

    fn say(&self, word: &str) -> io::Result<()> {
        rustix::net::send(&self.0, word.as_bytes(), SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn hear(&self, word: &str) -> io::Result<()> {
        let (text, _) = self.receive()?;
        if text == word { Ok(()) } else { Err(unexpected(&text)) }
    }

    /// The next message, and the socket that came with it.
    fn receive(&self) -> io::Result<(String, Option<OwnedFd>)> {
        let mut text = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                got => break got?,
            }
        };
        let sockets = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        let socket = sockets.flatten().next();
        if got.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::other("a message was cut off"));
        }
        Ok((String::from_utf8_lossy(&text[..got.bytes]).into_owned(), socket))
    }
}

fn unexpected(text: &str) -> io::Error {
    io::Error::other(format!("`{text}` was not expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn sockets_arrive_with_their_places_and_words_in_their_order() {
        let (ours, theirs) = pair().unwrap();
        let theirs = Line(theirs);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let place = Place::Listener(address);
        ours.send_sockets(&[Handed { place: place.clone(), socket: listener.into() }]).unwrap();
        let mut sockets = theirs.receive_sockets().unwrap();
        let handed = sockets.pop().unwrap();
        assert!(sockets.is_empty() && handed.place == place);
        let waiting = TcpStream::connect(address).unwrap();
        let (accepted, peer) = TcpListener::from(handed.socket).accept().unwrap();
        assert_eq!(peer, waiting.local_addr().unwrap());
        drop(accepted);
        theirs.say_ready().unwrap();
        ours.hear_ready().unwrap();
        ours.say_go().unwrap();
        assert!(theirs.hear_ready().is_err(), "go is not ready");
    }

    #[test]
    fn who_waits_hears_of_the_end_and_of_lost_patience() {
        let (ours, theirs) = pair().unwrap();
        ours.set_patience(Duration::from_millis(20)).unwrap();
        assert_eq!(ours.hear_ready().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert_eq!(ours.hear_ready().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(ours.say_go().is_err());
    }
}
