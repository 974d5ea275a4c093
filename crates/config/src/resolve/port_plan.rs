//! The addresses of single ports: which port of which service each is for, and what it carries. As in Istio that follows from what
//! the port declares; an address for bytes carries bytes whatever it declares.

use std::sync::Arc;
use std::time::Duration;

use fuseboard_snapshot::{Detect, ListenerTarget, TcpProxy};

use super::hostname;
use super::protocol::Protocol;
use super::registry::{Port, Service};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::listen::{Carries, PortListen, Takes};
use crate::workload::Workload;

/// Which port of which service each address is for.
pub(super) struct PortPlan<'p>(Vec<Planned<'p>>);

struct Planned<'p> {
    host: Arc<str>,
    listen: &'p PortListen,
}

/// What comes to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    Http,
    Bytes,
    /// One or the other, as each connection begins.
    Either,
}

/// One address of a port.
#[derive(Clone, Copy)]
pub(super) struct WayIn<'p> {
    pub(super) listen: &'p PortListen,
    pub(super) carried: Carried,
}

impl Carried {
    /// What comes to an address that takes this.
    pub(super) const fn by(takes: Takes) -> Self {
        match takes {
            Takes::Http1 | Takes::Http2 => Self::Http,
            Takes::Bytes => Self::Bytes,
            Takes::Either => Self::Either,
        }
    }

    /// Where connections go that carry this: requests by the table of this index.
    pub(super) const fn target(self, routes: usize, tcp: TcpProxy, patience: Duration) -> ListenerTarget {
        match self {
            Self::Http => ListenerTarget::Routes(routes),
            Self::Bytes => ListenerTarget::Tcp(tcp),
            Self::Either => ListenerTarget::Detect(Detect { routes, tcp, patience }),
        }
    }
}

impl<'p> PortPlan<'p> {
    /// The plan `listen`. Addresses for what no service has are reported.
    pub(super) fn new(
        listen: &'p [PortListen],
        services: &[Service],
        workload: &Workload,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let planned = listen.iter().map(|listen| {
            let host = full_name(&listen.host, services, workload);
            report_unknown(listen, &host, services, diagnostics);
            Planned { host, listen }
        });
        Self(planned.collect())
    }

    /// The addresses at which a port is reached.
    pub(super) fn of(&self, service: &Service, port: &Port) -> Vec<WayIn<'p>> {
        let of_port =
            |planned: &&Planned<'p>| planned.host == service.host && planned.listen.port == port.number;
        let found = self.0.iter().filter(of_port);
        found.map(|Planned { listen, .. }| WayIn { listen, carried: carried(listen, port) }).collect()
    }

    /// Those of them that can be opened; the others are told.
    pub(super) fn openable(
        &self,
        service: &Service,
        port: &Port,
        diagnostics: &mut Diagnostics,
    ) -> impl Iterator<Item = WayIn<'p>> {
        self.of(service, port).into_iter().filter(|way_in| !is_behind_tls(way_in, service, diagnostics))
    }

    /// Whether bytes are carried to a port, and not requests: it says so, or was given an address for bytes.
    pub(super) fn carries(&self, service: &Service, port: &Port) -> bool {
        let mut ways_in = self.of(service, port).into_iter();
        port.protocol == Protocol::Opaque || ways_in.any(|way_in| way_in.carried == Carried::Bytes)
    }
}

fn carried(listen: &PortListen, port: &Port) -> Carried {
    match (listen.carries, port.protocol) {
        (Carries::Bytes, _) | (Carries::Declared, Protocol::Opaque | Protocol::Udp) => Carried::Bytes,
        (Carries::Declared, Protocol::Http | Protocol::Http2) => Carried::Http,
        (Carries::Declared, Protocol::Auto) => Carried::Either,
    }
}

/// The service that a client means who says `name`, `name.namespace`, `name.namespace.svc` or the full name.
fn full_name(written: &str, services: &[Service], workload: &Workload) -> Arc<str> {
    let suffix = &workload.domain_suffix;
    let expanded = hostname::expand(written, &workload.namespace, suffix);
    let others = [format!("{written}.svc.{suffix}"), format!("{written}.{suffix}")].map(Arc::from);
    let known = |host: &Arc<str>| services.iter().any(|service| service.host == *host);
    std::iter::once(expanded.clone()).chain(others).find(known).unwrap_or(expanded)
}

fn report_unknown(listen: &PortListen, host: &str, services: &[Service], diagnostics: &mut Diagnostics) {
    let PortListen { address, port, .. } = listen;
    let problem = match services.iter().find(|service| *service.host == *host) {
        None => format!("no service is called {host}"),
        Some(service) if !service.ports.iter().any(|known| known.number == *port) => {
            let ports: Vec<_> = service.ports.iter().map(|port| port.number.to_string()).collect();
            format!("{host} has no port {port}; its ports are {}", ports.join(", "))
        }
        Some(_) => return,
    };
    let flag = match listen.carries {
        Carries::Bytes => "--listen-tcp",
        Carries::Declared => "--listen-service",
    };
    let message = format!("nobody listens on {address}: {problem}");
    let help =
        format!("name a service of the files and a port of it, as {flag} 127.0.0.1:5432=postgres:5432");
    diagnostics.push(Diagnostic::new(Code::ListenForNobody, message).help(help));
}

/// Says so where it cannot be found out what an address carries; it is not opened then.
fn is_behind_tls(way_in: &WayIn<'_>, service: &Service, diagnostics: &mut Diagnostics) -> bool {
    let PortListen { address, port, tls, .. } = way_in.listen;
    let is_so = *tls && way_in.carried == Carried::Either;
    if is_so {
        let host = &service.host;
        let message = format!(
            "nobody listens on {address}: {host}, port {port}, declares no protocol, and behind TLS of ours none is found out"
        );
        let help = format!(
            "say in its name or appProtocol what it speaks, or write --listen-tcp tls://{address}={host}:{port} for bytes"
        );
        diagnostics.push(service.diagnostic(Code::DetectionBehindTls, message).help(help));
    }
    is_so
}
