//! What the counters of bytes say of connections of HTTP/2: all that goes over them, frames and not only messages, on either side.

use fuseboard_snapshot::{UpstreamHttp, UpstreamVersion};
use fuseboard_testkit::http2::frames::{END_STREAM, PREFACE, kind};
use fuseboard_testkit::http2::{Frame, Frames};
use fuseboard_testkit::{DEADLINE, Script, Upstream, settle};
use tokio::net::TcpListener;

use crate::rig::{Rig, WORKERS};

async fn until_counted(rig: &Rig, names: [&str; 2], bytes: (usize, usize)) {
    let counted = || names.map(|name| rig.numbers().get(name));
    let expected = [bytes.0 as u64, bytes.1 as u64];
    assert!(settle(DEADLINE, || counted() == expected).await, "{:?} and not {expected:?}", counted());
}

#[tokio::test]
async fn every_byte_between_us_and_a_host_is_counted_once() {
    for workers in WORKERS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut rig = Rig::start(workers, &[listener.local_addr().unwrap()], |draft| {
            draft.cluster.http = UpstreamHttp { version: UpstreamVersion::Http2, ..UpstreamHttp::default() };
        });
        let mut client = rig.client().await;
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 70000\r\n\r\n").await;
        client.send(vec![b'x'; 70_000]).await;
        let mut host = Frames::accept(&listener, &[]).await;
        let mut body = 0;
        let stream = loop {
            let frame = host.next_of(kind::DATA).await;
            body += frame.payload.len();
            if frame.flags & END_STREAM != 0 {
                break frame.stream;
            }
            let room = u32::try_from(frame.payload.len()).unwrap();
            host.send_all(&[Frame::window(0, room), Frame::window(frame.stream, room)]).await;
        };
        assert_eq!(body, 70_000);
        host.send_all(&Frame::hello(stream)).await;
        assert_eq!(client.response().await.text(), "hello");
        // With nobody to call, the connection says its farewell.
        rig.apply(|draft| draft.hosts(&[]));
        host.rest().await;
        let (sent, received) = host.traffic();
        assert!(received > 70_000 && sent > 100);
        until_counted(&rig, ["upstream_cx_rx_bytes_total", "upstream_cx_tx_bytes_total"], (sent, received))
            .await;
    }
}

#[tokio::test]
async fn every_byte_between_a_client_and_us_is_counted_once() {
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = Rig::start(workers, &[upstream.address()], |_| {});
        let mut client = Frames::connect(rig.address).await;
        client.send(PREFACE).await;
        client.send_all(&[Frame::settings(&[]), Frame::get(1, "/"), Frame::get(3, "/")]).await;
        for _ in 0..2 {
            assert_eq!(client.next_of(kind::DATA).await.payload, b"served");
        }
        client.send_all(&[Frame::new(kind::PING, 0, 0, [1; 8])]).await;
        client.next_of(kind::PING).await;
        let names = ["http.downstream_cx_rx_bytes_total", "http.downstream_cx_tx_bytes_total"];
        until_counted(&rig, names, client.traffic()).await;
    }
}
