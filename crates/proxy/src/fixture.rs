//! One worker without its thread and one listener without its socket, for tests of a single connection, in which the event
//! loop runs only when the test lets it.

use std::io;
use std::net::TcpStream as StdStream;
use std::rc::Rc;
use std::sync::Arc;

use fuseboard_core::tcp::Proxied;
use fuseboard_testkit::ClusterSketch;
use tokio::net::TcpStream;

use crate::clock;
use crate::downstream::{Downstream, Line, Place};
use crate::listener::LiveListener;
use crate::options::ProxyOptions;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::worker::Worker;

/// The worker, and the listener that every authority reaches its one cluster through.
pub(crate) fn worker() -> (Rc<Worker>, Arc<LiveListener>) {
    let shared = Shared::new(ProxyOptions { concurrency: 1, ..ProxyOptions::default() }, None, None);
    let snapshot = ClusterSketch::new("sketch", &["127.0.0.1:9".parse().unwrap()]).snapshot(1).unwrap();
    let wanted = &snapshot.listeners[0];
    let listener = Arc::new(LiveListener::new(0, wanted, wanted.address, 1));
    shared.registry.apply(Arc::new(snapshot), vec![Arc::clone(&listener)], clock::now());
    (Rc::new(Worker::new(0, Arc::new(shared))), listener)
}

/// A client and the worker's end of its connection.
pub(crate) fn connection() -> io::Result<(StdStream, Downstream, Rc<Worker>)> {
    let (worker, listener) = worker();
    let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    let client = StdStream::connect(socket.local_addr()?)?;
    let (stream, peer) = socket.accept()?;
    stream.set_nonblocking(true)?;
    let permit = listener.admit().unwrap();
    let called = Proxied { source: peer, destination: stream.local_addr()? };
    let stream = Stream::plain(TcpStream::from_std(stream)?);
    let place = Place::new(permit, None, called, false);
    let downstream = Downstream::new(Line::Socket(stream), place, Rc::clone(&worker), clock::now());
    Ok((client, downstream, worker))
}
