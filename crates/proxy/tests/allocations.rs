//! What a request asks of the allocator once its connections are warm: nothing, with all protection on; and as a stream of HTTP/2, little.
//! Each alone in its process for its time, and with a caller and an origin that ask for nothing themselves, so that every block is the
//! proxy's.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fuseboard_core::breaker::{BreakerPolicy, FailureCount, Percent, SlowPolicy, TripPolicy};
use fuseboard_core::limit::Thresholds;
use fuseboard_core::outlier::OutlierPolicy;
use fuseboard_proxy::{Proxy, ProxyOptions, start};
use fuseboard_snapshot::{BreakerScope, Cluster, ClusterBreaker, Provenance, Snapshot};
use fuseboard_testkit::ClusterSketch;
use fuseboard_testkit::http2::frames::{END_STREAM, Frame, PREFACE, kind};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Who counts, counts alone.
static COUNTING: Mutex<()> = Mutex::new(());

const GET: &[u8] = b"GET /some/path?and=query HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";

/// Answers each message, which comes in one piece.
fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut input = [0; 4_096];
    while stream.read(&mut input).is_ok_and(|read| read > 0) {
        stream.write_all(ANSWER).unwrap();
    }
}

fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

/// Every condition of a breaker, limits, and outlier detection.
fn protected(cluster: &Cluster, scope: BreakerScope) -> Cluster {
    let percent = Percent::new(50).unwrap();
    let trip = TripPolicy {
        consecutive_failures: NonZeroU32::new(5),
        failures: Some(FailureCount { count: NonZeroU32::new(50).unwrap(), within: Duration::from_secs(10) }),
        failure_percent: Some(percent),
        slow: Some(SlowPolicy { slower_than: Duration::from_secs(10), percent }),
        minimum_calls: 20,
    };
    let policy = BreakerPolicy { trip, ..BreakerPolicy::default() };
    let mut cluster = cluster.clone();
    cluster.thresholds.default = Thresholds::ENVOY;
    cluster.outlier = Some(OutlierPolicy::default());
    cluster.breaker =
        Some(ClusterBreaker { scope, policy, rules: Vec::new(), provenance: Provenance::default() });
    cluster
}

/// Requests on one connection, each answered in full.
fn call(stream: &mut TcpStream, request: &[u8], times: usize) {
    let mut answer = [0; 4_096];
    for _ in 0..times {
        stream.write_all(request).unwrap();
        let mut length = 0;
        while !answer[..length].ends_with(b"hello\n") {
            let read = stream.read(&mut answer[length..]).unwrap();
            assert!(read > 0, "the proxy hung up");
            length += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
    }
}

/// A proxy of one worker in front of an origin, and a connection to it.
fn connected(scope: BreakerScope) -> (Proxy, TcpStream) {
    let snapshot = ClusterSketch::new("warm", &[origin()]).snapshot(1).unwrap();
    let clusters = vec![Arc::new(protected(&snapshot.clusters[0], scope))];
    let options = ProxyOptions { concurrency: 1, ..ProxyOptions::default() };
    let proxy = start(options, Arc::new(Snapshot { clusters, ..snapshot })).unwrap();
    let stream = TcpStream::connect(proxy.listeners()[0].address).unwrap();
    stream.set_nodelay(true).unwrap();
    (proxy, stream)
}

#[test]
fn a_request_on_warm_connections_allocates_nothing() {
    const REQUESTS: usize = 2_000;
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let profiler = dhat::Profiler::builder().testing().build();
    for scope in [BreakerScope::Destination, BreakerScope::Endpoint] {
        let (_proxy, mut stream) = connected(scope);
        for (name, request) in [("GET", GET), ("POST", POST)] {
            call(&mut stream, request, 100);
            let before = dhat::HeapStats::get().total_blocks;
            call(&mut stream, request, REQUESTS);
            let blocks = dhat::HeapStats::get().total_blocks - before;
            // Sweeps of other threads may ask for some as time goes by.
            assert!(
                blocks < REQUESTS as u64 / 20,
                "{scope:?} {name}: {blocks} blocks for {REQUESTS} requests"
            );
        }
    }
    drop(profiler);
}

/// Streams one after the other, each answered in full.
fn call_streams(connection: &mut TcpStream, requests: &[Vec<u8>]) {
    let mut payload = [0; 16 * 1024];
    for request in requests {
        connection.write_all(request).unwrap();
        loop {
            let mut head = [0; 9];
            connection.read_exact(&mut head).unwrap();
            let [high, middle, low, kind, flags, ..] = head;
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            connection.read_exact(&mut payload[..length]).unwrap();
            if kind == kind::DATA && flags & END_STREAM != 0 {
                assert_eq!(&payload[..length], b"hello\n");
                break;
            }
        }
    }
}

#[test]
fn a_stream_on_a_warm_connection_allocates_little_and_no_task() {
    const STREAMS: u32 = 1_000;
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let profiler = dhat::Profiler::builder().testing().build();
    let (_proxy, mut connection) = connected(BreakerScope::Destination);
    connection.write_all(&[PREFACE, &Frame::settings(&[]).bytes()].concat()).unwrap();
    let requests: Vec<_> = (0..STREAMS + 100).map(|number| Frame::get(2 * number + 1, "/").bytes()).collect();
    let (warm_up, counted) = requests.split_at(100);
    call_streams(&mut connection, warm_up);
    let before = dhat::HeapStats::get();
    call_streams(&mut connection, counted);
    let after = dhat::HeapStats::get();
    let blocks = (after.total_blocks - before.total_blocks) / u64::from(STREAMS);
    let bytes = (after.total_bytes - before.total_bytes) / u64::from(STREAMS);
    // What `h2` keeps of it, tables of fields and texts. A task of its own would take several KB.
    assert!(blocks <= 16 && bytes <= 3_000, "{blocks} blocks, {bytes} bytes");
    drop(profiler);
}
