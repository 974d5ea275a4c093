//! What a service port speaks, from `appProtocol`, its name, or its number, as Istio reads them.

/// Protocol of a service port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 without TLS, gRPC included.
    Http2,
    /// Nothing declared: Istio looks at the first bytes.
    Auto,
    /// Carried as bytes: tcp, tls, https, and the protocols of databases.
    Opaque,
    /// Not carried by any cluster.
    Udp,
}

impl Protocol {
    /// The protocol of a Kubernetes service port: by `appProtocol`, else by its name, else by its number.
    pub(super) fn of_port(name: &str, app_protocol: Option<&str>, transport: &str, number: u16) -> Self {
        if transport.eq_ignore_ascii_case("UDP") {
            return Self::Udp;
        }
        // An appProtocol takes the place of the name, even one that nobody knows.
        let declared = app_protocol.unwrap_or(name);
        Self::from_name(declared).unwrap_or(match number {
            // Servers of these speak first, so that sniffing would wait for ever.
            25 | 53 | 3306 | 27017 => Self::Opaque,
            _ => Self::Auto,
        })
    }

    /// The protocol of a `ServiceEntry` port, by its `protocol` field. Its name and its number say nothing, as in Istio.
    pub(super) fn of_entry_port(protocol: &str) -> Self {
        Self::from_word(protocol).unwrap_or(Self::Auto)
    }

    /// Whether requests can be routed to it by `Host`.
    pub(crate) const fn is_http(self) -> bool {
        match self {
            Self::Http | Self::Http2 | Self::Auto => true,
            Self::Opaque | Self::Udp => false,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "kubernetes.io/h2c" => return Some(Self::Http2),
            "kubernetes.io/ws" => return Some(Self::Http),
            "kubernetes.io/wss" => return Some(Self::Opaque),
            _ => {}
        }
        let is_grpc_web =
            name.get(.."grpc-web".len()).is_some_and(|start| start.eq_ignore_ascii_case("grpc-web"));
        if is_grpc_web {
            return Some(Self::Http2);
        }
        Self::from_word(name.split('-').next().unwrap_or(name))
    }

    fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "http" | "http_proxy" => Some(Self::Http),
            "http2" | "grpc" | "grpc-web" => Some(Self::Http2),
            "tcp" | "tls" | "https" | "mongo" | "mysql" | "redis" => Some(Self::Opaque),
            "udp" => Some(Self::Udp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Protocol {
        Protocol::of_port(name, None, "TCP", 1000)
    }

    #[test]
    fn the_name_counts_up_to_its_first_dash() {
        assert_eq!(named("http-web"), Protocol::Http);
        assert_eq!(named("httpx"), Protocol::Auto);
        assert_eq!(named("grpc-web"), Protocol::Http2);
        assert_eq!(named("https"), Protocol::Opaque);
        assert_eq!(named(""), Protocol::Auto);
    }

    #[test]
    fn app_protocol_goes_before_the_name() {
        let with = |name, declared| Protocol::of_port(name, Some(declared), "TCP", 1000);
        assert_eq!(with("tcp-a", "http"), Protocol::Http);
        assert_eq!(with("http-b", "tcp"), Protocol::Opaque);
        assert_eq!(with("http-g", "HTTP2"), Protocol::Http2);
        assert_eq!(with("c", "kubernetes.io/h2c"), Protocol::Http2);
        assert_eq!(with("http-f", "example.com/x"), Protocol::Auto);
    }

    #[test]
    fn a_service_entry_says_it_in_its_own_field() {
        assert_eq!(Protocol::of_entry_port("GRPC-Web"), Protocol::Http2);
        assert_eq!(Protocol::of_entry_port("http-a"), Protocol::Auto);
        assert_eq!(Protocol::of_entry_port(""), Protocol::Auto);
    }

    #[test]
    fn well_known_ports_without_a_name_are_not_sniffed() {
        assert_eq!(Protocol::of_port("", None, "TCP", 3306), Protocol::Opaque);
        assert_eq!(Protocol::of_port("post", None, "TCP", 5432), Protocol::Auto);
        assert_eq!(Protocol::of_port("dns", None, "UDP", 53), Protocol::Udp);
    }
}
