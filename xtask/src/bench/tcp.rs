//! TCP hosts and clients of the bench. They run in threads on the core of the load, so that they take nothing from the proxy's.

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::LOAD_CORE;

/// What is sent at once over connections that stay.
const CHUNK: usize = 64 * 1024;
/// What goes each way over one that does not.
const MESSAGE: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// Where the sink puts bytes, one for all connections: thousands of them are silent.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Starts a host that takes whatever comes and says nothing. It ends with the process, as the next one does.
pub(super) fn sink() -> anyhow::Result<SocketAddr> {
    serve(|stream| async move {
        while stream.readable().await.is_ok() {
            match BUFFER.with_borrow_mut(|buffer| stream.try_read(buffer)) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    })
}

/// Starts a host that sends back whatever comes.
pub(super) fn echo() -> anyhow::Result<SocketAddr> {
    serve(|mut stream| async move {
        let mut buffer = vec![0; 2 * MESSAGE];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            if stream.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    })
}

fn serve<F, T>(one: F) -> anyhow::Result<SocketAddr>
where
    F: Fn(tokio::net::TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        pin();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::task::spawn_local(one(stream))),
                    // No descriptor is free: the next one that closes is.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
    });
    Ok(address)
}

/// Puts this thread on the core of the load. Where that can't be had, the proxy is disturbed, and so are all contenders.
fn pin() {
    let mut cores = CpuSet::new();
    cores.set(LOAD_CORE);
    let _ = sched_setaffinity(None, &cores);
}

/// Megabytes that were sent to `address` over so many connections in this time.
pub(super) fn bulk(address: SocketAddr, connections: usize, time: Duration) -> anyhow::Result<f64> {
    let sent = together(connections, move || {
        let mut stream = connect(address)?;
        let chunk = vec![b'x'; CHUNK];
        let (until, mut sent) = (Instant::now() + time, 0_u64);
        while Instant::now() < until {
            stream.write_all(&chunk)?;
            sent += CHUNK as u64;
        }
        Ok(sent)
    })?;
    Ok(sent as f64 / 1e6)
}

/// Connections to `address` that carried a message each way, of so many clients in this time.
pub(super) fn short(address: SocketAddr, clients: usize, time: Duration) -> anyhow::Result<f64> {
    let made = together(clients, move || {
        let message = [b'x'; MESSAGE];
        let (until, mut made) = (Instant::now() + time, 0);
        while Instant::now() < until {
            let mut stream = connect(address)?;
            stream.write_all(&message)?;
            let mut answer = [0; MESSAGE];
            stream.read_exact(&mut answer)?;
            ensure!(answer == message, "another message came back");
            made += 1;
        }
        Ok(made)
    })?;
    Ok(made as f64)
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The sum of what so many threads counted.
fn together(
    threads: usize,
    work: impl Fn() -> anyhow::Result<u64> + Clone + Send + 'static,
) -> anyhow::Result<u64> {
    let start = |_| {
        let work = work.clone();
        thread::spawn(move || {
            pin();
            work()
        })
    };
    let running: Vec<_> = (0..threads).map(start).collect();
    let mut sum = 0;
    for thread in running {
        sum += thread.join().map_err(|_| anyhow!("a client ended early"))?.context("a client of TCP")?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_that_a_sink_takes_and_messages_that_an_echo_returns() {
        let time = Duration::from_millis(50);
        assert!(bulk(sink().unwrap(), 2, time).unwrap() > 0.0);
        assert!(short(echo().unwrap(), 2, time).unwrap() > 0.0);
        assert!(short(sink().unwrap(), 0, time).unwrap() < 1.0);
    }
}
