//! PROXY headers: what is written reads back at any cut, and no bytes of a peer do harm.
#![cfg(not(loom))]
// a panic is how a test fails
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;

use fuseboard_core::tcp::{MAX_PROXY_HEADER, NoProxyHeader, Proxied, ProxyHeader, ProxyVersion};
use proptest::collection::vec;
use proptest::prelude::*;

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

fn version() -> impl Strategy<Value = ProxyVersion> {
    prop_oneof![Just(ProxyVersion::V1), Just(ProxyVersion::V2)]
}

/// As IPv6 where the families differ.
fn written(proxied: &Proxied) -> Proxied {
    if proxied.source.is_ipv4() == proxied.destination.is_ipv4() {
        return *proxied;
    }
    let mapped = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => address,
    };
    Proxied { source: mapped(proxied.source), destination: mapped(proxied.destination) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_and_is_unfinished_at_every_cut(
        source in address(), destination in address(), version in version(), follows in vec(any::<u8>(), 0..40),
    ) {
        let proxied = Proxied { source, destination };
        let mut bytes = proxied.header(version);
        let length = bytes.len();
        for cut in 0..length {
            prop_assert_eq!(ProxyHeader::parse(&bytes[..cut]), Ok(ProxyHeader::Unfinished), "cut at {}", cut);
        }
        bytes.extend(follows);
        let whole = ProxyHeader::Whole { length, proxied: Some(written(&proxied)) };
        prop_assert_eq!(ProxyHeader::parse(&bytes), Ok(whole));
    }

    #[test]
    fn any_bytes_are_read_without_harm_and_within_the_bound(bytes in vec(any::<u8>(), 0..2_000), start in 0..3_usize) {
        let starts: [&[u8]; 3] = [b"", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11"];
        let bytes = [starts[start], &bytes].concat();
        match ProxyHeader::parse(&bytes) {
            Ok(ProxyHeader::Whole { length, .. }) => prop_assert!(length <= bytes.len().min(MAX_PROXY_HEADER)),
            Ok(ProxyHeader::Unfinished) => prop_assert!(bytes.len() < MAX_PROXY_HEADER),
            Err(NoProxyHeader) => {}
        }
    }

    #[test]
    fn one_changed_byte_never_makes_a_longer_header(
        source in address(), destination in address(), version in version(), at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let mut bytes = Proxied { source, destination }.header(version);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(ProxyHeader::Whole { length, .. }) = ProxyHeader::parse(&bytes) {
            prop_assert!(length <= bytes.len());
        }
    }
}

fn parse(bytes: &[u8]) -> Result<ProxyHeader, NoProxyHeader> {
    ProxyHeader::parse(bytes)
}

#[test]
fn headers_that_name_nobody_are_taken_and_broken_ones_are_not() {
    let nobody = |length| Ok(ProxyHeader::Whole { length, proxied: None });
    assert_eq!(parse(b"PROXY UNKNOWN\r\nGET"), nobody(15));
    assert_eq!(parse(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), nobody(35));
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00hello";
    assert_eq!(parse(local), nobody(16));
    let checked = [b"\r\n\r\n\0\r\nQUIT\n\x20\x11\x00\x0c".as_slice(), &[7; 12]].concat();
    assert_eq!(
        parse(&checked),
        nobody(28),
        "a health check of the balancer's own names nobody, whatever it says"
    );
    let unix = [b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd8".as_slice(), &[7; 216]].concat();
    assert_eq!(parse(&unix), nobody(232));
    for broken in [
        "GET / HTTP/1.1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP9 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY \r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    ] {
        assert_eq!(parse(broken.as_bytes()), Err(NoProxyHeader), "{broken:?}");
    }
    assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'x'; 101]].concat()), Err(NoProxyHeader), "too long a line");
    for (version, family, length) in [(0x31, 0x11, 12), (0x22, 0x11, 12), (0x21, 0x11, 11), (0x21, 0x21, 35)]
    {
        let head = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[version, family, 0, length], &[1; 64]].concat();
        assert_eq!(parse(&head), Err(NoProxyHeader), "{version:x} {family:x} {length}");
    }
    let extended = |length: usize| {
        let rest = u16::try_from(length - 16).unwrap().to_be_bytes();
        let mut head = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11".as_slice(), &rest].concat();
        head.resize(length, 0);
        parse(&head)
    };
    assert!(matches!(extended(MAX_PROXY_HEADER), Ok(ProxyHeader::Whole { length: MAX_PROXY_HEADER, .. })));
    assert_eq!(extended(MAX_PROXY_HEADER + 1), Err(NoProxyHeader));
    let huge = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    assert_eq!(parse(huge), Err(NoProxyHeader), "nobody waits for 64 KiB of extensions");
}
