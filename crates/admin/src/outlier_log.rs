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
    /// Failures in a row after which the detector fires; `None`: it looks at rates.
    pub threshold: Option<u32>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    eject_success_rate_event: Option<SuccessRateEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eject_failure_percentage_event: Option<FailurePercentageEvent>,
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
    interval_requests: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_failures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ejected_until: Option<String>,
}

/// Envoy's message; whole percent.
#[derive(Serialize)]
struct SuccessRateEvent {
    host_success_rate: i64,
    cluster_average_success_rate: i64,
    cluster_success_rate_ejection_threshold: i64,
}

/// Envoy's message; whole percent.
#[derive(Serialize)]
struct FailurePercentageEvent {
    host_success_rate: i64,
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
        let evidence = event.evidence.filter(|_| detected);
        let volume = evidence.map(|evidence| evidence.volume);
        let bar = evidence.and_then(|evidence| evidence.bar);
        let own = volume.map(|volume| volume.success_rate().whole_percent());
        let line = Line {
            kind: event.logged_type(),
            timestamp: timestamp(self.at),
            secs_since_last_action: event.since_last_action.map(|since| since.as_secs().to_string()),
            cluster_name: &self.cluster,
            upstream_url: self.address,
            action: event.logged_action()?,
            num_ejections: event.num_ejections,
            enforced: event.is_enforced(),
            eject_consecutive_event: (detected && evidence.is_none()).then_some(ConsecutiveEvent),
            eject_success_rate_event: own.zip(bar).map(|(own, bar)| SuccessRateEvent {
                host_success_rate: own,
                cluster_average_success_rate: bar.average.whole_percent(),
                cluster_success_rate_ejection_threshold: bar.threshold.whole_percent(),
            }),
            eject_failure_percentage_event: own
                .filter(|_| bar.is_none())
                .map(|host_success_rate| FailurePercentageEvent { host_success_rate }),
            pod: &self.pod,
            node: &self.node,
            zone: &self.zone,
            caller: &self.caller,
            consecutive_failures: self.threshold.filter(|_| detected),
            interval_requests: volume.map(|volume| volume.requests),
            interval_failures: volume.map(|volume| volume.failures),
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
    use fuseboard_core::outlier::{DetectionKind, Rate, RateEvidence, SuccessBar, Volume};

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
            event: OutlierEvent {
                host: "x".into(),
                action,
                num_ejections: 1,
                since_last_action,
                evidence: None,
            },
            threshold: Some(5),
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
    fn a_detection_by_rates_says_what_they_were_in_envoys_whole_percents() {
        let by = DetectionKind::SuccessRate;
        let mut seen = record(OutlierAction::Ejected { by, due: Instant::ZERO }, None);
        let bar = SuccessBar { average: Rate::of(2, 3), threshold: Rate::from_billionths(195_262_000) };
        let volume = Volume { requests: 200, failures: 199 };
        seen.threshold = None;
        seen.event.evidence = Some(RateEvidence { volume, bar: Some(bar) });
        let line = seen.line().unwrap();
        assert!(line.starts_with("{\"type\":\"SUCCESS_RATE\","), "{line}");
        let told = "\"enforced\":true,\"eject_success_rate_event\":{\"host_success_rate\":0,\
                    \"cluster_average_success_rate\":66,\"cluster_success_rate_ejection_threshold\":19},\
                    \"interval_requests\":200,\"interval_failures\":199,\"ejected_until\"";
        assert!(line.contains(told), "{line}");
        let by = DetectionKind::LocalOriginFailurePercentage;
        seen.event.action = OutlierAction::NotEnforced { by };
        seen.event.evidence = Some(RateEvidence { volume, bar: None });
        let line = seen.line().unwrap();
        assert!(line.starts_with("{\"type\":\"FAILURE_PERCENTAGE_LOCAL_ORIGIN\","), "{line}");
        assert!(line.contains("\"eject_failure_percentage_event\":{\"host_success_rate\":0},"), "{line}");
        seen.event.action = OutlierAction::Returned { by };
        seen.event.evidence = None;
        assert!(!seen.line().unwrap().contains("_event"));
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
