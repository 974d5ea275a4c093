//! What a client speaks, by its first bytes: samples of protocols, in whichever parts they come, and noise.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use fuseboard_core::Rng;
use fuseboard_core::tcp::{Hello, MAX_SNIFFED, Spoken};

/// A `ClientHello` with these extensions, in records of at most `record` bytes.
fn client_hello(extensions: &[u8], record: usize) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
    let mut bytes = Vec::new();
    for part in message.chunks(record) {
        bytes.extend([0x16, 3, 1]);
        bytes.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

/// `server_name` and ALPN.
fn extensions(name: &str, protocols: &[&str]) -> Vec<u8> {
    let with_length =
        |bytes: Vec<u8>| [u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec(), bytes].concat();
    let names = with_length([vec![0], with_length(name.as_bytes().to_vec())].concat());
    let protocols = protocols.iter().flat_map(|protocol| {
        [vec![u8::try_from(protocol.len()).unwrap()], protocol.as_bytes().to_vec()].concat()
    });
    let protocols = with_length(protocols.collect());
    let mut all = vec![0xff, 1, 0, 1, 0, 0, 0];
    all.extend(with_length(names));
    all.extend([0, 16]);
    all.extend(with_length(protocols));
    all
}

fn hello(name: &str, protocols: &[&str]) -> Spoken {
    let protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Spoken::Tls(Hello { server_name: Some(name.to_owned()), protocols })
}

fn samples() -> Vec<(Vec<u8>, Spoken)> {
    let text = |text: &str, spoken| (text.as_bytes().to_vec(), spoken);
    let mut samples = vec![
        text("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Spoken::Http1),
        text("GET / HTTP/1.0\n\n", Spoken::Http1),
        text("OPTIONS * HTTP/1.1\r\n", Spoken::Http1),
        text("CONNECT [::1]:443 HTTP/1.1\r\n", Spoken::Http1),
        text("M-SEARCH http://a/\u{e4} HTTP/1.1\r\n", Spoken::Http1),
        text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}", Spoken::Http2),
        text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Spoken::Http2),
        text("PRI * HTTP/2.0\r\n\r\nSM\r\nx", Spoken::Other),
        text("GET / HTTP/2.0\r\n", Spoken::Other),
        text("GET / HTTP/1.12\r\n", Spoken::Other),
        text("GET / HTTP/1.2\r\n", Spoken::Other),
        text(&format!("{} / HTTP/1.1\r\n", "M".repeat(32)), Spoken::Http1),
        text(&format!("{} / HTTP/1.1\r\n", "M".repeat(33)), Spoken::Other),
        text("GET  / HTTP/1.1\r\n", Spoken::Other),
        text("OPTIONS rtsp://a RTSP/1.0\r\n", Spoken::Other),
        text("INVITE sip:a@b SIP/2.0\r\n", Spoken::Other),
        text("*1\r\n$4\r\nPING\r\n", Spoken::Other),
        text("PING\r\n", Spoken::Other),
        text("get key\r\n", Spoken::Other),
        text("EHLO a\r\n", Spoken::Other),
        text("SSH-2.0-OpenSSH_9.6\r\n", Spoken::Other),
        text("\0\0\0\u{8}\u{4}\u{d2}\u{16}/", Spoken::Other),
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00".to_vec(), Spoken::Other),
        (b"\x16\x02\x01\x00\x05\x01\x00\x00\x01\x00".to_vec(), Spoken::Other),
        (b"\x16\x03\x05\x00\x05\x01\x00\x00\x01\x00".to_vec(), Spoken::Other),
        (b"\x16\x03\x04\x00\x05\x01\x00\x00\x01\x00".to_vec(), Spoken::Tls(Hello::default())),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec(), Spoken::Tls(Hello::default())),
        (client_hello(&[], 1000), Spoken::Tls(Hello::default())),
        (client_hello(&[0, 0, 0, 9, 0], 1000), Spoken::Tls(Hello::default())),
    ];
    for record in [1, 2, 3, 50, 1000] {
        let all = extensions("Shop.Example", &["h2", "http/1.1"]);
        samples.push((client_hello(&all, record), hello("shop.example", &["h2", "http/1.1"])));
    }
    // As browsers send it, with a key of 1,216 bytes for an exchange that stands against quantum computers.
    let key = [&[0, 51, 4, 0xc0][..], &[9; 1216], &extensions("shop.example", &["h2"])].concat();
    samples.push((client_hello(&key, 16_000), hello("shop.example", &["h2"])));
    let longest = "x".repeat(255);
    samples.push((client_hello(&extensions(&longest, &[]), 1000), hello(&longest, &[])));
    for no_name in ["", &"x".repeat(256), "a b"] {
        samples.push((client_hello(&extensions(no_name, &[]), 1000), Spoken::Tls(Hello::default())));
    }
    let long = "x".repeat(2 * MAX_SNIFFED);
    samples.push((format!("GET /{long}").into_bytes(), Spoken::Http1));
    samples.push((long.into_bytes(), Spoken::Other));
    samples.push((client_hello(&vec![0; 2 * MAX_SNIFFED], 16_000), Spoken::Tls(Hello::default())));
    samples
}

#[test]
fn a_protocol_is_known_by_its_first_bytes() {
    for (bytes, spoken) in samples() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert_eq!(Spoken::by(&bytes), spoken, "{shown:?}");
    }
}

#[test]
fn what_can_be_nothing_else_is_known_before_it_is_complete() {
    for (front, spoken) in
        [("GET / F", Spoken::Other), ("GET / HTTP/1.2", Spoken::Other), ("GET / HTTP/1.1", Spoken::Unclear)]
    {
        assert_eq!(Spoken::by(front.as_bytes()), spoken, "{front:?}");
    }
}

#[test]
fn a_request_line_whose_version_lies_across_the_bound_is_none() {
    let target = "x".repeat(MAX_SNIFFED - "GET / HTTP".len());
    let line = format!("GET /{target} HTTP/1.1\r\n");
    assert_eq!(Spoken::by(&line.as_bytes()[..MAX_SNIFFED - 1]), Spoken::Unclear);
    assert_eq!(Spoken::by(line.as_bytes()), Spoken::Other);
}

#[test]
fn a_hello_that_goes_on_in_no_record_of_its_kind_or_an_empty_one_says_nothing() {
    let record = client_hello(&extensions("shop.example", &[]), 20)[..25].to_vec();
    for (next, spoken) in [
        ([0x16, 3, 1, 0, 9], Spoken::Unclear),
        ([0x15, 3, 1, 0, 9], Spoken::Tls(Hello::default())),
        ([0x16, 3, 1, 0, 0], Spoken::Tls(Hello::default())),
    ] {
        assert_eq!(Spoken::by(&[&record[..], &next].concat()), spoken, "{next:?}");
    }
}

#[test]
fn a_hello_of_any_length_is_waited_for_up_to_the_bound() {
    // 65,536 bytes: only the first byte of its length is not zero.
    let mut hello = [&[0x16, 3, 1, 0x3f, 0xff, 1, 1, 0, 0, 3, 3][..], &[7; 16_372]].concat();
    assert_eq!(Spoken::by(&hello), Spoken::Unclear);
    hello.resize(MAX_SNIFFED, 0);
    assert_eq!(Spoken::by(&hello), Spoken::Tls(Hello::default()));
}

/// What is found in a part is unclear, or what is found in more; and the bound is one.
fn holds_for_all_parts(bytes: &[u8]) {
    let mut found = Spoken::Unclear;
    for length in 0..=bytes.len() {
        let now = Spoken::by(&bytes[..length]);
        if found != Spoken::Unclear {
            assert_eq!(now, found, "at {length} of {bytes:?}");
        }
        found = now;
    }
    assert!(bytes.len() < MAX_SNIFFED || found != Spoken::Unclear);
}

#[test]
fn it_does_not_matter_in_which_parts_they_come() {
    for (bytes, _) in samples() {
        let bytes = &bytes[..bytes.len().min(600)];
        holds_for_all_parts(bytes);
    }
    for (bytes, spoken) in samples().into_iter().filter(|(bytes, _)| bytes.len() > MAX_SNIFFED) {
        for length in MAX_SNIFFED - 40..MAX_SNIFFED {
            let found = Spoken::by(&bytes[..length]);
            assert!(found == Spoken::Unclear || found == spoken, "{found:?} at {length}");
        }
        assert_eq!(Spoken::by(&bytes[..MAX_SNIFFED]), spoken);
    }
}

#[test]
fn noise_harms_nobody_however_much_it_looks_like_something() {
    let mut rng = Rng::new(11);
    let mut below = |n: usize| usize::try_from(rng.next_u64() % n as u64).unwrap();
    let samples = samples();
    for _ in 0..3000 {
        let (sample, _) = &samples[below(samples.len())];
        let mut bytes = sample[..=below(sample.len().min(300))].to_vec();
        for _ in 0..below(4) {
            let at = below(bytes.len());
            bytes[at] = u8::try_from(below(256)).unwrap();
        }
        bytes.extend((0..below(40)).map(|_| u8::try_from(below(256)).unwrap()));
        holds_for_all_parts(&bytes);
    }
}
