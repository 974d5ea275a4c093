//! `/listeners` as text and JSON.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde::Serialize;

use crate::page::Page;
use crate::query::Query;
use crate::status::ListenerStatus;

/// Envoy's `core.v3.Address` of an IP address and port.
#[derive(Debug, Serialize)]
pub(crate) struct Address {
    socket_address: SocketAddress,
}

#[derive(Debug, Serialize)]
struct SocketAddress {
    address: String,
    port_value: u16,
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let socket_address = SocketAddress { address: address.ip().to_string(), port_value: address.port() };
        Self { socket_address }
    }
}

#[derive(Serialize)]
struct Listeners<'a> {
    listener_statuses: Vec<Listener<'a>>,
}

#[derive(Serialize)]
struct Listener<'a> {
    name: &'a str,
    local_address: Address,
}

/// `name::address` lines, or JSON with `format=json`.
pub fn page(listeners: &[ListenerStatus], query: &Query) -> Page {
    if query.get("format") == Some("json") {
        let listener_statuses = listeners
            .iter()
            .map(|listener| Listener { name: &listener.name, local_address: listener.address.into() })
            .collect();
        return Page::json(&Listeners { listener_statuses });
    }
    let mut out = String::new();
    for listener in listeners {
        let _ = writeln!(out, "{}::{}", listener.name, listener.address);
    }
    Page::text(out)
}
