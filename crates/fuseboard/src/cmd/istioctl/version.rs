//! `istioctl version`: this binary's, and that of the proxies that run on this machine, which are its data plane.

use std::collections::BTreeMap;

use clap::{ArgAction, Args};
use fuseboard_admin::AdminClient;
use fuseboard_admin::instance::RuntimeDirectory;
use serde::{Deserialize, Serialize};

use crate::asking;
use crate::document;
use crate::exit::{Exit, Outcome};
use crate::output;

/// Print versions
#[derive(Args)]
#[command(after_help = "Examples:
  istioctl version
  istioctl version --remote=false
  istioctl version -o json")]
pub(super) struct Arguments {
    /// Numbers only; false: everything that is known
    #[arg(short, long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    short: bool,
    /// Ask the proxies that run on this machine
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    remote: bool,
    /// json or yaml; default: text
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json", "yaml"])]
    output: Option<String>,
}

/// The names are istioctl's.
#[derive(Serialize)]
struct Versions {
    #[serde(rename = "clientVersion")]
    client: Build,
    #[serde(rename = "dataPlaneVersion", skip_serializing_if = "Option::is_none")]
    data_plane: Option<Vec<ProxyVersion>>,
}

#[derive(Serialize)]
struct Build {
    version: &'static str,
    revision: &'static str,
    golang_version: &'static str,
    status: &'static str,
    tag: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProxyVersion {
    #[serde(rename = "ID")]
    id: String,
    istio_version: String,
    r#type: &'static str,
}

/// What is needed of `/server_info`.
#[derive(Deserialize)]
struct ServerInfo {
    /// `fuseboard/0.1.0`
    version: String,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const BUILD: Build = Build {
    version: VERSION,
    revision: "unknown",
    golang_version: "",
    status: if cfg!(debug_assertions) { "debug" } else { "release" },
    tag: VERSION,
};

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let data_plane = arguments.remote.then(proxies).filter(|proxies| !proxies.is_empty());
    let versions = Versions { client: BUILD, data_plane };
    match arguments.output.as_deref() {
        Some("json") => output::out_raw(&document::json(&versions, "  ")?),
        // istioctl ends YAML with an empty line.
        Some(_) => output::out(document::yaml(&versions)?),
        None => output::out_raw(&text(&versions, arguments.short)),
    }
    Ok(Exit::Ok)
}

fn text(versions: &Versions, short: bool) -> String {
    let Build { version, revision, golang_version, status, tag } = versions.client;
    let mut text = if short {
        format!("client version: {version}\n")
    } else {
        format!(
            "client version: version.BuildInfo{{Version:{version:?}, GitRevision:{revision:?}, GolangVersion:{golang_version:?}, BuildStatus:{status:?}, GitTag:{tag:?}}}\n"
        )
    };
    let mut counts = BTreeMap::new();
    for proxy in versions.data_plane.iter().flatten() {
        *counts.entry(proxy.istio_version.as_str()).or_insert(0_usize) += 1;
    }
    if !counts.is_empty() {
        let each: Vec<String> =
            counts.iter().map(|(version, count)| format!("{version} ({count} proxies)")).collect();
        text.extend(["data plane version: ", &each.join(", "), "\n"]);
    }
    text
}

/// The proxies of this machine that answer.
fn proxies() -> Vec<ProxyVersion> {
    let instances = RuntimeDirectory::from_environment().instances();
    let version = |instance: fuseboard_admin::instance::Instance| {
        let client = AdminClient::new(instance.admin.parse().ok()?);
        let info: ServerInfo = asking::document(&client, "/server_info").ok()?;
        let (_, number) = info.version.split_once('/')?;
        Some(ProxyVersion { id: instance.admin, istio_version: number.to_owned(), r#type: "sidecar" })
    };
    instances.into_iter().filter_map(version).collect()
}
