//! What holds for any first bytes of a connection that may bring a PROXY header.

use fuseboard_core::tcp::{MAX_PROXY_HEADER, ProxyHeader, ProxyVersion};

/// Never read beyond its bound or its end, the same however late the rest comes, and read back when it is written anew.
pub(crate) fn proxy_header(data: &[u8]) {
    let Ok(ProxyHeader::Whole { length, proxied }) = ProxyHeader::parse(data) else { return };
    assert!(length <= MAX_PROXY_HEADER && length <= data.len());
    assert_eq!(ProxyHeader::parse(&data[..length]), Ok(ProxyHeader::Whole { length, proxied }));
    for end in 0..length {
        assert_eq!(ProxyHeader::parse(&data[..end]), Ok(ProxyHeader::Unfinished), "{end} of {length}");
    }
    let Some(proxied) = proxied else { return };
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let header = proxied.header(version);
        let Ok(ProxyHeader::Whole { length, proxied: Some(again) }) = ProxyHeader::parse(&header) else {
            panic!("{proxied:?} cannot be read back");
        };
        // An address of IPv4 beside one of IPv6 is written as one of IPv6.
        assert_eq!(length, header.len());
        assert_eq!(again.source.ip().to_canonical(), proxied.source.ip().to_canonical());
        assert_eq!(again.source.port(), proxied.source.port());
        assert_eq!(again.destination.ip().to_canonical(), proxied.destination.ip().to_canonical());
        assert_eq!(again.destination.port(), proxied.destination.port());
    }
}
