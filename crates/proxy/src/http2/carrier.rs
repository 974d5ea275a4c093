//! The connection below HTTP/2, as the `h2` crate wants it: with the bytes in front that were read to find out what is spoken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

/// Who counts bytes.
pub(crate) trait Meter {
    /// So many came.
    fn received(&self, n: usize);
    /// So many were sent.
    fn sent(&self, n: usize);
}

/// A connection, read and written by frames.
#[derive(Debug)]
pub(crate) struct Carrier<C, M> {
    connection: C,
    /// Read already, and counted.
    ahead: Vec<u8>,
    meter: M,
}

impl<C: AsMut<Stream>, M: Meter> Carrier<C, M> {
    pub(crate) const fn new(connection: C, ahead: Vec<u8>, meter: M) -> Self {
        Self { connection, ahead, meter }
    }
}

impl AsMut<Self> for Stream {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl<C: AsMut<Stream> + Unpin, M: Meter + Unpin> AsyncRead for Carrier<C, M> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = &mut *self;
        if !own.ahead.is_empty() {
            let n = own.ahead.len().min(room.remaining());
            room.put_slice(&own.ahead[..n]);
            own.ahead.drain(..n);
            return Poll::Ready(Ok(()));
        }
        let before = room.filled().len();
        let read = own.connection.as_mut().poll_fill(cx, room);
        read.map_ok(|()| own.meter.received(room.filled().len() - before))
    }
}

impl<C: AsMut<Stream> + Unpin, M: Meter + Unpin> AsyncWrite for Carrier<C, M> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let own = &mut *self;
        let wrote = own.connection.as_mut().poll_write(cx, bytes);
        wrote.map_ok(|n| {
            own.meter.sent(n);
            n
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.as_mut().shut_down();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::mem::MaybeUninit;

    use tokio::net::TcpStream;

    use super::*;

    struct Nobody;

    impl Meter for Nobody {
        fn received(&self, _n: usize) {}
        fn sent(&self, _n: usize) {}
    }

    #[tokio::test]
    async fn room_into_which_nothing_came_is_not_touched() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let stream = Stream::plain(TcpStream::from_std(socket).unwrap());
        let mut carrier = Carrier::new(stream, Vec::new(), Nobody);
        client.write_all(b"abc").unwrap();
        let mut bytes = [MaybeUninit::uninit(); 64];
        let mut room = ReadBuf::uninit(&mut bytes);
        poll_fn(|cx| Pin::new(&mut carrier).poll_read(cx, &mut room)).await.unwrap();
        assert_eq!(room.filled(), b"abc");
        assert_eq!(room.initialized().len(), 3);
    }
}
