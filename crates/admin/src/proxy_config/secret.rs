//! `proxy-config secret`: the certificates of a config dump, and until when they count. Keys are never shown, be it that a dump has them.

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fuseboard_snapshot::Certificate;

use super::dump::{Dump, DumpError};
use super::{Tree, table};
use crate::config_dump::redacted;

const HEADING: [&str; 7] =
    ["RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"];
/// istioctl's words for a dump without certificates.
const NONE: &str = "No secret items to show.\n";
/// Where a key would stand.
const KEYS: [&str; 2] = ["private_key", "privateKey"];

impl Dump {
    /// The table, with what counts at `now`.
    pub fn secret_table(&self, now: SystemTime) -> Result<String, DumpError> {
        let warming = self.secrets("dynamic_warming_secrets")?.into_iter().map(|entry| ("WARMING", entry));
        let active = self.secrets("dynamic_active_secrets")?.into_iter().map(|entry| ("ACTIVE", entry));
        let lines: Vec<_> = warming.chain(active).map(|(status, entry)| line(status, entry, now)).collect();
        Ok(if lines.is_empty() { NONE.to_owned() } else { table::render(&HEADING, &lines) })
    }

    /// The section of the config dump, as istioctl's JSON has it, without keys.
    pub fn secret_settings(&self) -> Result<Tree, DumpError> {
        if matches!(self, Self::Clusters(_)) {
            return Err(DumpError::NotSettings);
        }
        let section = self.sections("SecretsConfigDump").next().cloned();
        Ok(without_keys(section.unwrap_or_else(|| Tree::of([]))).into_camel_case())
    }

    fn secrets(&self, list: &str) -> Result<Vec<&Tree>, DumpError> {
        match self {
            Self::Clusters(_) => Err(DumpError::NotSettings),
            Self::Config(_) => {
                Ok(self.sections("SecretsConfigDump").flat_map(|section| section.items(&[list])).collect())
            }
        }
    }
}

fn line(status: &str, entry: &Tree, now: SystemTime) -> Vec<String> {
    let secret = entry.field("secret").unwrap_or(&Tree::Null);
    let chain = secret.at(&["tls_certificate", "certificate_chain"]);
    let (kind, text) = match chain {
        Some(chain) => ("Cert Chain", chain),
        None => ("CA", secret.at(&["validation_context", "trusted_ca"]).unwrap_or(&Tree::Null)),
    };
    let certificates = match (text.text(&["inline_bytes"]), text.text(&["inline_string"])) {
        ("", pem) => Certificate::read_all(pem.as_bytes()),
        (bytes, _) => Certificate::read_all(&BASE64_STANDARD.decode(bytes).unwrap_or_default()),
    };
    let mut line = [entry.text(&["name"]), kind, status].map(str::to_owned).to_vec();
    match certificates.ok().as_deref() {
        // The first one stands for all, as with istioctl.
        Some([certificate, ..]) => {
            let facts = &certificate.facts;
            let valid = (facts.not_before..=facts.not_after).contains(&now);
            let dates = [facts.not_after, facts.not_before].map(crate::certs::time);
            line.extend([valid.to_string(), facts.serial.clone()]);
            line.extend(dates);
        }
        _ => line.extend(["false", "", "", ""].map(str::to_owned)),
    }
    line
}

/// A real proxy's dump has no keys in it; one that somebody made may.
fn without_keys(tree: Tree) -> Tree {
    match tree {
        Tree::List(items) => Tree::List(items.into_iter().map(without_keys).collect()),
        Tree::Map(fields) => {
            let field = |(name, value): (String, Tree)| {
                let value = if KEYS.contains(&name.as_str()) { redacted() } else { without_keys(value) };
                (name, value)
            };
            Tree::Map(fields.into_iter().map(field).collect())
        }
        other => other,
    }
}
