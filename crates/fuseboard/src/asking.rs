//! Asking a running proxy: which one, and what to say when it does not answer. Shared by `stats`, `why` and `admin`.

use clap::Args;
use fuseboard_admin::instance::{self, DiscoveryError, RuntimeDirectory};
use fuseboard_admin::{AdminAddress, AdminClient};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::{Exit, Failure};

/// Which proxy to ask.
#[derive(Args)]
pub(crate) struct Target {
    #[arg(
        long,
        value_name = "ADDR",
        help = "Admin address of the proxy, HOST:PORT or unix:PATH; default: FUSEBOARD_ADMIN, else the only running instance, else 127.0.0.1:15000"
    )]
    admin: Option<AdminAddress>,
}

impl Target {
    pub(crate) fn client(&self) -> Result<AdminClient, Failure> {
        let address = match &self.admin {
            Some(address) => address.clone(),
            None => discover()?,
        };
        Ok(AdminClient::new(address))
    }
}

/// Where the proxy is when nobody says so.
pub(crate) fn discover() -> Result<AdminAddress, Failure> {
    let variable = std::env::var(instance::VARIABLE).ok();
    instance::discover(variable.as_deref(), &RuntimeDirectory::from_environment()).map_err(|error| {
        let next = match &error {
            DiscoveryError::Several(instances) => {
                instances.first().map(|one| format!("add for example --admin {}", one.admin))
            }
            _ => None,
        };
        let next = next.unwrap_or_else(|| format!("correct or unset {}", instance::VARIABLE));
        Failure::new(Exit::Usage, error).next(next)
    })
}

/// The text behind `target`, which must exist.
pub(crate) fn text(client: &AdminClient, target: &str) -> Result<String, Failure> {
    let answer = client.get(target).map_err(unreachable)?;
    if answer.status >= 400 {
        let status = answer.status;
        let said = answer.text();
        return Err(Failure::message(
            Exit::Error,
            format_args!("{target} answers {status}: {}", said.trim_end()),
        ));
    }
    Ok(answer.text())
}

/// The JSON document behind `target`.
pub(crate) fn document<T: DeserializeOwned>(client: &AdminClient, target: &str) -> Result<T, Failure> {
    let text = text(client, target)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(Exit::Error, error)
            .next("is the proxy of another version? see `fuseboard version` on both sides")
    })
}

/// A document as `-o json` prints it.
pub(crate) fn pretty(document: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::new(Exit::Error, error))?;
    Ok(text + "\n")
}

/// Nobody answers.
pub(crate) fn unreachable(error: fuseboard_admin::ClientError) -> Failure {
    Failure::new(Exit::NoConnection, error)
        .next("start one with `fuseboard demo` or `fuseboard run`, or name it with --admin HOST:PORT")
}

/// The admin server at this port of the local machine.
pub(crate) fn at_port(port: u16) -> AdminClient {
    AdminClient::new(AdminAddress::Tcp((std::net::Ipv4Addr::LOCALHOST, port).into()))
}
