//! Where callers come in, who counts them there: what a proxy has not taken yet it does not know of, and whoever left before
//! that still gets a turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;

/// An address that is connected to. Clones count together.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    came: AtomicU64,
    left: AtomicU64,
}

/// One that came in; it leaves when this is dropped.
pub(crate) struct Presence(Arc<Counts>);

impl Door {
    /// Nobody has come in yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, counts: Arc::default() }
    }

    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were made. One whose caller gave up while it was being made may be missing.
    pub fn came(&self) -> u64 {
        self.counts.came.load(Ordering::Acquire)
    }

    /// Those that their callers have not closed.
    pub fn open(&self) -> u64 {
        let left = self.counts.left.load(Ordering::Acquire);
        self.came() - left
    }

    pub(crate) async fn connect(&self) -> io::Result<(TcpStream, Presence)> {
        let stream = TcpStream::connect(self.address).await?;
        self.counts.came.fetch_add(1, Ordering::AcqRel);
        let presence = Presence(Arc::clone(&self.counts));
        stream.set_nodelay(true)?;
        Ok((stream, presence))
    }
}

/// A door of one's own, where nobody else is counted.
impl From<SocketAddr> for Door {
    fn from(address: SocketAddr) -> Self {
        Self::new(address)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::AcqRel);
    }
}
