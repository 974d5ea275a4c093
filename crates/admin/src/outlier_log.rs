//! The record of ejections: a line for each host that outlier detection takes out of rotation or returns to it, in the
//! shape of Envoy's event log (`outlier_detection.event_log_path`), so that what reads that log reads this one.
//!
//! Ours besides: which pod, node and zone the host is, how many failures in a row were enough, until when it is out, and
//! the name of the proxy that saw it. What happened, `fuseboard_core::outlier` decides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use fuseboard_core::outlier::{OutlierAction, OutlierEvent};
use serde::{Serialize, Serializer};

use crate::refusals::timestamp;

/// Something that happened to a host.
#[derive(Clone, Debug)]
pub struct OutlierRecord {
    /// When.
    pub at: SystemTime,
    /// Envoy's name of the cluster.
    pub cluster: Arc<str>,
    /// The host's address.
    pub address: SocketAddr,
    /// Name of its pod; empty where unknown.
    pub pod: Arc<str>,
    /// Node it runs on; empty where unknown.
    pub node: Arc<str>,
    /// Zone it runs in; empty where unknown.
    pub zone: Arc<str>,
    /// Name of the proxy that saw it; empty where none was given.
    pub caller: Arc<str>,
    /// What happened.
    pub event: OutlierEvent,
    /// Failures in a row after which the detector fires.
    pub threshold: u32,
    /// When its ejection time is over, for ejections.
    pub until: Option<SystemTime>,
}

/// A line of the log; keys in Envoy's order, ours last.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    /// A string, as JSON has every 64-bit number of a protobuf message.
    #[serde(skip_serializing_if = "Option::is_none")]
    secs_since_last_action: Option<String>,
    cluster_name: &'a str,
    upstream_url: SocketAddr,
    action: &'static str,
    num_ejections: u32,
    enforced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    eject_consecutive_event: Option<ConsecutiveEvent>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pod: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    node: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    zone: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    caller: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive_failures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ejected_until: Option<String>,
}

/// Envoy's empty message.
struct ConsecutiveEvent;

impl Serialize for ConsecutiveEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(std::iter::empty::<((), ())>())
    }
}

impl OutlierRecord {
    /// Its line, with the line break; `None`: Envoy's log has no line for it.
    pub fn line(&self) -> Option<String> {
        let event = &self.event;
        let detected =
            matches!(event.action, OutlierAction::Ejected { .. } | OutlierAction::NotEnforced { .. });
        let line = Line {
            kind: event.logged_type(),
            timestamp: timestamp(self.at),
            secs_since_last_action: event.since_last_action.map(|since| since.as_secs().to_string()),
            cluster_name: &self.cluster,
            upstream_url: self.address,
            action: event.logged_action()?,
            num_ejections: event.num_ejections,
            enforced: event.is_enforced(),
            eject_consecutive_event: detected.then_some(ConsecutiveEvent),
            pod: &self.pod,
            node: &self.node,
            zone: &self.zone,
            caller: &self.caller,
            consecutive_failures: detected.then_some(self.threshold),
            ejected_until: self.until.map(timestamp),
        };
        // Texts and numbers alone: this cannot fail.
        let mut line = serde_json::to_string(&line).ok()?;
        line.push('\n');
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fuseboard_core::Instant;
    use fuseboard_core::outlier::DetectionKind;

    use super::*;

    fn record(action: OutlierAction, since_last_action: Option<Duration>) -> OutlierRecord {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_829_461_195);
        let until = matches!(action, OutlierAction::Ejected { .. }).then(|| at + Duration::from_secs(30));
        OutlierRecord {
            at,
            cluster: "h10".into(),
            address: "127.0.0.1:18008".parse().unwrap(),
            pod: "".into(),
            node: "".into(),
            zone: "".into(),
            caller: "".into(),
            event: OutlierEvent { host: "x".into(), action, num_ejections: 1, since_last_action },
            threshold: 5,
            until,
        }
    }

    #[test]
    fn an_ejection_reads_as_envoys_and_says_who_and_until_when() {
        let by = DetectionKind::Consecutive5xx;
        let bare = record(OutlierAction::Ejected { by, due: Instant::ZERO }, None);
        assert_eq!(
            bare.line().unwrap(),
            "{\"type\":\"CONSECUTIVE_5XX\",\"timestamp\":\"2025-11-22T16:37:41.195Z\",\"cluster_name\":\"h10\",\
             \"upstream_url\":\"127.0.0.1:18008\",\"action\":\"EJECT\",\"num_ejections\":1,\"enforced\":true,\
             \"eject_consecutive_event\":{},\"consecutive_failures\":5,\
             \"ejected_until\":\"2025-11-22T16:38:11.195Z\"}\n"
        );
        let named = OutlierRecord { pod: "a\"b".into(), zone: "z".into(), caller: "me".into(), ..bare };
        assert!(named.line().unwrap().contains("{},\"pod\":\"a\\\"b\",\"zone\":\"z\",\"caller\":\"me\","));
    }

    #[test]
    fn a_return_has_the_type_of_its_ejection_and_whole_seconds_in_quotes() {
        let by = DetectionKind::ConsecutiveGatewayFailure;
        let line = record(OutlierAction::Returned { by }, Some(Duration::from_millis(2_900))).line().unwrap();
        assert!(line.starts_with("{\"type\":\"CONSECUTIVE_GATEWAY_FAILURE\","), "{line}");
        assert!(line.contains("\"secs_since_last_action\":\"2\""), "{line}");
        assert!(line.ends_with("\"action\":\"UNEJECT\",\"num_ejections\":1,\"enforced\":false}\n"), "{line}");
    }

    #[test]
    fn what_the_percentage_blocked_has_no_line() {
        let by = DetectionKind::Consecutive5xx;
        assert_eq!(record(OutlierAction::Blocked { by, ejected: 1, hosts: 2 }, None).line(), None);
        let seen = record(OutlierAction::NotEnforced { by }, None).line().unwrap();
        assert!(seen.contains("\"action\":\"EJECT\",\"num_ejections\":1,\"enforced\":false"), "{seen}");
    }
}
