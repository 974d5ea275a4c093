//! hyper as a second opinion: whatever this codec accepts, hyper reads as the same messages. The other
//! direction does not hold and need not: refusing more is the point.

use std::cell::RefCell;
use std::convert::Infallible;

use bytes::Bytes;
use fuseboard_http1::{Awaiting, Method};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, Uri, body::Incoming};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::grammar::{damaged, requests, response};
use crate::reader::{End, Side, read};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The requests that hyper read to their end: method and target, and body.
fn read_by_hyper(stream: &[u8]) -> Vec<(String, Vec<u8>)> {
    block_on(async {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        let seen = RefCell::new(Vec::new());
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let seen = &seen;
            async move {
                let start = format!("{} {}", request.method(), request.uri());
                if let Ok(body) = request.into_body().collect().await {
                    seen.borrow_mut().push((start, body.to_bytes().to_vec()));
                }
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(theirs), service);
        let sending = async {
            ours.write_all(stream).await.unwrap();
            ours.shutdown().await.unwrap();
            let mut answers = Vec::new();
            let _ = ours.read_to_end(&mut answers).await;
        };
        let (_, ()) = tokio::join!(serving, sending);
        seen.take()
    })
}

/// Status and whole body of the answer that hyper's client read, if it did.
fn answer_read_by_hyper(stream: &[u8], method: &'static str) -> Option<(u16, Vec<u8>)> {
    block_on(async {
        let (ours, theirs): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 20);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.ok()?;
        let (mut requests, mut answers) = tokio::io::split(theirs);
        let asking = async {
            let request = Request::builder().method(method).body(Empty::<Bytes>::new()).unwrap();
            let answer = sender.send_request(request).await.ok()?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.ok()?.to_bytes().to_vec();
            drop(sender);
            Some((status, body))
        };
        let answering = async {
            let _ = requests.read(&mut [0; 1024]).await;
            let _ = answers.write_all(stream).await;
            let _ = answers.shutdown().await;
        };
        tokio::join!(asking, connection, answering).0
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hyper_reads_the_requests_that_we_accept_as_we_do(stream in damaged(requests())) {
        // hyper stops at a target that is no URI; this codec forwards any visible ASCII. That is no matter of
        // framing.
        let ours: Vec<_> = read(Side::Requests, &stream)
            .0
            .into_iter()
            .map(|message| (message.start, message.body))
            .take_while(|(start, _)| start.rsplit(' ').next().is_some_and(|target| target.parse::<Uri>().is_ok()))
            .collect();
        let theirs = read_by_hyper(&stream);
        prop_assert_eq!(theirs.get(..ours.len()), Some(&ours[..]), "{}", String::from_utf8_lossy(&stream));
    }

    #[test]
    fn where_we_say_that_a_stream_ends_hyper_finds_no_further_request(stream in damaged(requests())) {
        let (ours, end) = read(Side::Requests, &stream);
        if end == End::Clean {
            let theirs = read_by_hyper(&stream);
            prop_assert!(theirs.len() <= ours.len(), "{}", String::from_utf8_lossy(&stream));
        }
    }

    #[test]
    fn hyper_reads_the_responses_that_we_accept_as_we_do(stream in damaged(response()), is_head in any::<bool>()) {
        let (method, text) = if is_head { (Method::Head, "HEAD") } else { (Method::Get, "GET") };
        let (messages, _) = read(Side::Responses(Awaiting::to(method)), &stream);
        if let Some(ours) = messages.into_iter().find(|message| !message.start.starts_with('1')) {
            let theirs = answer_read_by_hyper(&stream, text).map(|(status, body)| (status.to_string(), body));
            prop_assert_eq!(theirs, Some((ours.start, ours.body)), "{}", String::from_utf8_lossy(&stream));
        }
    }
}
