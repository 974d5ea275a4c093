//! `/server_info` and `/ready`.

use std::time::Duration;

use serde::Serialize;

use crate::page::Page;
use crate::status::{ServerInfo, ServerState};

#[derive(Serialize)]
struct Info<'a> {
    version: String,
    state: &'static str,
    uptime_current_epoch: String,
    uptime_all_epochs: String,
    command_line_options: Options<'a>,
    node: Node<'a>,
}

#[derive(Serialize)]
struct Options<'a> {
    concurrency: usize,
    service_node: &'a str,
    drain_time: String,
}

#[derive(Serialize)]
struct Node<'a> {
    id: &'a str,
    user_agent_name: &'static str,
    user_agent_version: &'static str,
}

/// Whole seconds, as protobuf's JSON writes a duration: `3s`.
fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}

/// `/server_info`: what Envoy's has and we know.
pub fn page(server: &ServerInfo) -> Page {
    let uptime = seconds(server.uptime);
    Page::json(&Info {
        version: format!("fuseboard/{}", server.version),
        state: server.state.name(),
        uptime_current_epoch: uptime.clone(),
        uptime_all_epochs: uptime,
        command_line_options: Options {
            concurrency: server.concurrency,
            service_node: &server.node_id,
            drain_time: seconds(server.drain_time),
        },
        node: Node { id: &server.node_id, user_agent_name: "fuseboard", user_agent_version: server.version },
    })
}

/// `/ready`: 200 while serving, else 503, with the state's name.
pub fn ready(state: ServerState) -> Page {
    let status = if state == ServerState::Live { 200 } else { 503 };
    Page::text_with(status, format!("{}\n", state.name()))
}
