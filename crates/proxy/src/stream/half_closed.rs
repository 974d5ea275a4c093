//! Whether a client has closed its side, even behind bytes that nobody has read yet. Only the system can tell.

use tokio::net::TcpStream;

/// One system call.
#[cfg(target_os = "linux")]
pub(super) fn is_half_closed(stream: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let mut asked = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let closed = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    matches!(poll(&mut asked, Some(&at_once)), Ok(n) if n > 0 && asked[0].revents().intersects(closed))
}

/// Elsewhere unread bytes hide the end; it is seen when they are read.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_half_closed(_stream: &TcpStream) -> bool {
    false
}
