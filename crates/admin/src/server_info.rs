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
    hot_restart_version: &'static str,
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
    user_agent_build_version: BuildVersion,
}

#[derive(Serialize)]
struct BuildVersion {
    version: Semantic,
}

/// `1.2.3` in protobuf's JSON, where a zero is left out.
#[derive(Default, Serialize)]
struct Semantic {
    #[serde(skip_serializing_if = "is_zero")]
    major_number: u32,
    #[serde(skip_serializing_if = "is_zero")]
    minor_number: u32,
    #[serde(skip_serializing_if = "is_zero")]
    patch: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Semantic {
    fn parse(version: &str) -> Self {
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self { major_number: next(), minor_number: next(), patch: next() }
    }
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
        hot_restart_version: "disabled",
        command_line_options: Options {
            concurrency: server.concurrency,
            service_node: &server.node_id,
            drain_time: seconds(server.drain_time),
        },
        node: Node {
            id: &server.node_id,
            user_agent_name: "fuseboard",
            user_agent_build_version: BuildVersion { version: Semantic::parse(server.version) },
        },
    })
}

/// `/ready`: 200 while serving, else 503, with the state's name.
pub fn ready(state: ServerState) -> Page {
    let status = if state == ServerState::Live { 200 } else { 503 };
    Page::text_with(status, format!("{}\n", state.name()))
}
