//! `uri-host [ ":" port ]`, the authority of a target and the value of `Host`. Decides what is well-formed
//! and whether two name the same place; does not resolve names.

/// A valid authority, without user information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) host: &'a [u8],
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// RFC 3986 section 3.2 without `userinfo` (RFC 9110 section 4.2.4). Refused besides: an empty host,
    /// which no http URI has (RFC 9110 section 4.2.1), and a comma, which is what two `Host` fields joined by
    /// a recipient look like.
    #[inline]
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (host, rest) = if text.first() == Some(&b'[') {
            let end = memchr::memchr(b']', text)? + 1;
            if !is_ip_literal(&text[1..end - 1]) {
                return None;
            }
            text.split_at(end)
        } else {
            let end = text.iter().position(|b| !NAME_BYTES[usize::from(*b)]).unwrap_or(text.len());
            if end == 0 {
                return None;
            }
            text.split_at(end)
        };
        let port = match rest {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Whether both name the same host and port, where `default_port` stands for one that is not written.
    pub(crate) fn is_same(&self, other: &Self, default_port: Option<u16>) -> bool {
        let ports = (self.port.or(default_port), other.port.or(default_port));
        let same_port = match ports {
            (Some(a), Some(b)) => a == b,
            // Without a scheme to give the default, an unwritten port contradicts nothing.
            _ => true,
        };
        same_port && self.host.eq_ignore_ascii_case(other.host)
    }
}

fn port(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    u16::try_from(number).ok()
}

/// `reg-name` or IPv4 (RFC 3986 section 3.2.2), without the comma.
const fn is_name_byte(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=')
}

/// `is_name_byte` looked up: this is asked for every byte of every `Host`.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = is_name_byte(byte);
        byte += 1;
    }
    table
};

/// The inside of `[...]`: an IPv6 address, possibly with a zone (RFC 6874).
fn is_ip_literal(text: &[u8]) -> bool {
    let (address, zone) = match memchr::memchr(b'%', text) {
        Some(at) => (&text[..at], &text[at..]),
        None => (text, &[][..]),
    };
    zone.iter().all(|b| is_name_byte(*b))
        && std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}
