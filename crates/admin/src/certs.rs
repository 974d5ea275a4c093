//! `/certs`: the certificates that are shown and trusted now, in Envoy's shape. One entry for each different set; listeners come
//! first.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use fuseboard_snapshot::{Certificate, Snapshot};
use serde::Serialize;

use crate::page::Page;

/// Envoy's `Certificates`.
#[derive(Serialize)]
struct Certificates {
    certificates: Vec<Set>,
}

/// What one TLS configuration has.
#[derive(PartialEq, Eq, Serialize)]
struct Set {
    ca_cert: Vec<Details>,
    cert_chain: Vec<Details>,
}

#[derive(PartialEq, Eq, Serialize)]
struct Details {
    path: String,
    serial_number: String,
    subject_alt_names: Vec<Name>,
    /// A number of 64 bits, which JSON has as text.
    days_until_expiration: String,
    valid_from: String,
    expiration_time: String,
}

#[derive(PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Dns(String),
    Uri(String),
    IpAddress(IpAddr),
}

/// The page.
pub fn page(snapshot: &Snapshot, now: SystemTime) -> Page {
    Page::json(&of(snapshot, now))
}

fn of(snapshot: &Snapshot, now: SystemTime) -> Certificates {
    let details = |source: &str, all: &[Certificate]| -> Vec<Details> {
        all.iter().map(|certificate| Details::of(source, certificate, now)).collect()
    };
    let mut certificates: Vec<Set> = Vec::new();
    let mut add = |set: Set| {
        let is_empty = set.ca_cert.is_empty() && set.cert_chain.is_empty();
        if !is_empty && !certificates.contains(&set) {
            certificates.push(set);
        }
    };
    for policy in snapshot.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
        let trust = policy.clients.as_ref();
        add(Set {
            ca_cert: trust.map_or_else(Vec::new, |trust| {
                details(trust.authorities.source(), trust.authorities.certificates())
            }),
            cert_chain: policy
                .credentials
                .iter()
                .flat_map(|own| details(own.source(), own.chain()))
                .collect(),
        });
    }
    for policy in snapshot.clusters.iter().filter_map(|cluster| cluster.tls.as_ref()) {
        // The system's authorities are many, and nobody's settings.
        let trust = policy.trust.as_ref().filter(|trust| !trust.authorities.is_of_system());
        add(Set {
            ca_cert: trust.map_or_else(Vec::new, |trust| {
                details(trust.authorities.source(), trust.authorities.certificates())
            }),
            cert_chain: policy.credential.iter().flat_map(|own| details(own.source(), own.chain())).collect(),
        });
    }
    Certificates { certificates }
}

impl Details {
    fn of(source: &str, certificate: &Certificate, now: SystemTime) -> Self {
        const DAY: Duration = Duration::from_hours(24);
        let facts = &certificate.facts;
        let left = facts.not_after.duration_since(now).unwrap_or_default();
        let dns = facts.dns.iter().cloned().map(Name::Dns);
        let uris = facts.uris.iter().cloned().map(Name::Uri);
        let addresses = facts.addresses.iter().copied().map(Name::IpAddress);
        Self {
            path: source.to_owned(),
            serial_number: facts.serial.clone(),
            subject_alt_names: dns.chain(uris).chain(addresses).collect(),
            days_until_expiration: (left.as_secs() / DAY.as_secs()).to_string(),
            valid_from: time(facts.not_before),
            expiration_time: time(facts.not_after),
        }
    }
}

/// RFC 3339 in UTC, whole seconds, as certificates have them.
pub(crate) fn time(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fuseboard_testkit::ClusterSketch;
    use fuseboard_testkit::tls::{Authority, Validity, client};

    use super::*;

    fn snapshot(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
        let mut snapshot = ClusterSketch::new("a", &["127.0.0.1:9".parse().unwrap()]).snapshot(1).unwrap();
        change(&mut snapshot);
        snapshot
    }

    /// Noon of the first day of 2021.
    fn now() -> SystemTime {
        "2021-01-01T12:00:00Z".parse::<jiff::Timestamp>().unwrap().into()
    }

    #[test]
    fn certificates_are_told_as_envoy_tells_them() {
        let authority = Authority::new("ours");
        let pair = authority.issue_with(&["a.test", "spiffe://td/x", "10.0.0.1"], Validity::Over, 0xab);
        let snapshot = snapshot(|snapshot| snapshot.listeners[0].tls = Some(Arc::new(pair.server())));
        let text = page(&snapshot, now() - Duration::from_hours(24 * 366)).body;
        assert_eq!(
            text,
            r#"{
 "certificates": [
  {
   "ca_cert": [],
   "cert_chain": [
    {
     "path": "pair.pem",
     "serial_number": "ab",
     "subject_alt_names": [
      {
       "dns": "a.test"
      },
      {
       "uri": "spiffe://td/x"
      },
      {
       "ip_address": "10.0.0.1"
      }
     ],
     "days_until_expiration": "0",
     "valid_from": "2020-01-01T00:00:00Z",
     "expiration_time": "2020-01-02T00:00:00Z"
    }
   ]
  }
 ]
}
"#
        );
    }

    #[test]
    fn one_set_is_told_once_and_plain_text_has_none() {
        assert!(of(&snapshot(|_| {}), now()).certificates.is_empty());
        let authority = Authority::new("ours");
        let pair = authority.issue(&["a.test"]);
        let snapshot = snapshot(|snapshot| {
            snapshot.listeners[0].tls = Some(Arc::new(pair.server()));
            let mut cluster = (*snapshot.clusters[0]).clone();
            cluster.tls = Some(Arc::new(client(&authority)));
            snapshot.clusters = vec![Arc::new(cluster.clone()), Arc::new(cluster)];
        });
        let found = of(&snapshot, now()).certificates;
        let shape: Vec<_> = found.iter().map(|set| (set.ca_cert.len(), set.cert_chain.len())).collect();
        assert_eq!(shape, [(0, 1), (1, 0)]);
        assert_eq!(found[0].cert_chain[0].days_until_expiration, "36157", "whole days to the year 2120");
    }
}
